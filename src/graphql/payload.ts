import 'reflect-metadata'
import { Field, ObjectType, registerEnumType } from 'type-graphql'
import { DomainError, Forbidden, RateLimited, Unauthenticated, type UserErrorCode } from '../platform/errors.js'

export const UserErrorCodes = Object.fromEntries(
  [
    'INVALID',
    'NOT_FOUND',
    'DUPLICATE',
    'VERSION_CONFLICT',
    'IDEMPOTENCY_KEY_REUSED',
    'IDEMPOTENCY_IN_PROGRESS',
    'BUDGET_EXCEEDED',
    'CONSENT_MISSING',
    'POLICY_BLOCKED',
    'ILLEGAL_TRANSITION',
    'UNAVAILABLE',
  ].map(code => [code, code]),
) as Record<UserErrorCode, UserErrorCode>
registerEnumType(UserErrorCodes, { name: 'UserErrorCode' })

/** What a caller could have known beforehand, as data beside the result. */
@ObjectType()
export class UserError {
  @Field(() => UserErrorCodes)
  code!: UserErrorCode

  @Field(() => [String], { nullable: true, description: 'Path of the input field that is to blame' })
  field!: string[] | null

  @Field(() => String, { description: 'A sentence for a person' })
  message!: string

  @Field(() => Boolean, { description: 'Whether the same call may succeed later' })
  retryable!: boolean
}

/** Every mutation's payload extends this. */
@ObjectType()
export abstract class Payload {
  @Field(() => [UserError])
  userErrors!: UserError[]

  @Field(() => Boolean, { description: 'True when this payload was made by an earlier call with the same idempotency key' })
  idempotentReplay!: boolean
}

export type PayloadOf<Result extends object> = Partial<Result> & { userErrors: UserError[]; idempotentReplay: boolean }

/** Runs the rule of a mutation; its domain errors become `userErrors`, everything else stays a top-level error. */
export async function payload<Result extends object>(work: () => Promise<Result>): Promise<PayloadOf<Result>> {
  try {
    return { ...(await work()), userErrors: [], idempotentReplay: false }
  } catch (error) {
    if (!isUserFault(error)) throw error
    return { userErrors: [userErrorOf(error)], idempotentReplay: false } as unknown as PayloadOf<Result>
  }
}

export function userErrorOf(error: DomainError): UserError {
  return { code: error.userCode, field: error.field ?? null, message: error.message, retryable: error.retryable }
}

/** Access and rate faults are top-level errors with their own codes; the rest of the domain errors are the caller's to read. */
export function isUserFault(error: unknown): error is DomainError {
  return (
    error instanceof DomainError && !(error instanceof Unauthenticated) && !(error instanceof Forbidden) && !(error instanceof RateLimited)
  )
}
