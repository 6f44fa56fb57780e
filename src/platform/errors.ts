/** What every service may throw: a code for programs, a sentence for people, details for both. */
export abstract class DomainError extends Error {
  abstract readonly code: 'BAD_USER_INPUT' | 'NOT_FOUND' | 'UNAUTHENTICATED' | 'FORBIDDEN' | 'CONFLICT' | 'UNAVAILABLE' | 'RATE_LIMITED'
  /** Code of the same fault as a `UserError` of a mutation payload. */
  abstract readonly userCode: UserErrorCode
  readonly retryable: boolean = false

  constructor(
    message: string,
    readonly details: Record<string, unknown> = {},
    /** Path of the offending input field, if one is to blame. */
    readonly field?: string[],
  ) {
    super(message)
    this.name = new.target.name
  }
}

/** Codes of `UserError` in the contract. */
export type UserErrorCode =
  | 'INVALID'
  | 'NOT_FOUND'
  | 'DUPLICATE'
  | 'VERSION_CONFLICT'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'IDEMPOTENCY_IN_PROGRESS'
  | 'BUDGET_EXCEEDED'
  | 'CONSENT_MISSING'
  | 'POLICY_BLOCKED'
  | 'ILLEGAL_TRANSITION'
  | 'UNAVAILABLE'

export class InvalidInput extends DomainError {
  readonly code = 'BAD_USER_INPUT'
  readonly userCode = 'INVALID'
}

export class NotFound extends DomainError {
  readonly code = 'NOT_FOUND'
  readonly userCode = 'NOT_FOUND'
}

export class Unauthenticated extends DomainError {
  readonly code = 'UNAUTHENTICATED'
  readonly userCode = 'POLICY_BLOCKED'
}

export class Forbidden extends DomainError {
  readonly code = 'FORBIDDEN'
  readonly userCode = 'POLICY_BLOCKED'
}

export class RateLimited extends DomainError {
  readonly code = 'RATE_LIMITED'
  readonly userCode = 'UNAVAILABLE'
  override readonly retryable = true
}

/** The state of the world forbids it: a stale version, an illegal transition, a key that was used for something else. */
export class Conflict extends DomainError {
  readonly code = 'CONFLICT'

  constructor(
    message: string,
    readonly userCode: UserErrorCode,
    details: Record<string, unknown> = {},
    field?: string[],
  ) {
    super(message, details, field)
  }
}

/** A part is away for now; the same call may succeed later. */
export class Unavailable extends DomainError {
  readonly code = 'UNAVAILABLE'
  readonly userCode = 'UNAVAILABLE'
  override readonly retryable = true
}

export function refuseUnless(condition: unknown, sentence: string, details: Record<string, unknown> = {}): asserts condition {
  if (!condition) throw new Conflict(sentence, 'POLICY_BLOCKED', details)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
