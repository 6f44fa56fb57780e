import { GraphQLError, GraphQLScalarType, type ValueNode } from 'graphql'
import { GraphQLBigInt, GraphQLDateTime, GraphQLJSON } from 'graphql-scalars'
import { isNestedWithin } from '../platform/text-input.js'

export const DateTime = GraphQLDateTime

/** Deeper values would exhaust the stack of whatever walks them. */
const DEEPEST_JSON = 64

export const JSONScalar = new GraphQLScalarType<unknown, unknown>({
  ...GraphQLJSON.toConfig(),
  parseValue: value => {
    if (isNestedWithin(value, DEEPEST_JSON)) return value
    throw new GraphQLError(`JSON takes at most ${DEEPEST_JSON} levels`)
  },
})

const LOW = -(2n ** 63n)
const HIGH = 2n ** 63n - 1n

/** 64-bit whole numbers: a JSON number while every client reads it exactly (below 2^53), else a string. Inputs may be either; resolvers get BigInt. */
export const BigIntScalar = new GraphQLScalarType<bigint, number | string>({
  ...GraphQLBigInt.toConfig(),
  description: 'A whole number of 64 bits: a JSON number below 2^53, else a string; both are accepted',
  serialize: value => {
    const whole = BigInt(value as bigint)
    return whole >= Number.MIN_SAFE_INTEGER && whole <= Number.MAX_SAFE_INTEGER ? Number(whole) : whole.toString()
  },
  parseValue: wholeNumber,
  parseLiteral: (node: ValueNode) => wholeNumber(node.kind === 'IntValue' || node.kind === 'StringValue' ? node.value : undefined),
})

function wholeNumber(value: unknown): bigint {
  const isExact =
    typeof value === 'bigint' ||
    (typeof value === 'number' && Number.isSafeInteger(value)) ||
    (typeof value === 'string' && /^-?\d{1,19}$/.test(value))
  const whole = isExact ? BigInt(value) : undefined
  if (whole === undefined || whole < LOW || whole > HIGH)
    throw new GraphQLError('BigInt takes a whole number of 64 bits, beyond 2^53 as a string')
  return whole
}
