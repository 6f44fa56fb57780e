import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import {
  buildSchema,
  type FieldDefinitionNode,
  getNamedType,
  type InputValueDefinitionNode,
  isInputObjectType,
  isObjectType,
  Kind,
  parse,
  print,
  type TypeDefinitionNode,
} from 'graphql'

// The contract is handed to the project from outside; what it promises has to stand in schema.graphql, word for word.
const FILE = '../shared/contract.graphql'
const contractTest = existsSync(FILE) ? test : test.skip
if (!existsSync(FILE)) process.stderr.write(`${FILE} is not there: the check of the contract is skipped\n`)

/** What is still to come. A part that builds one of these takes its line away. */
const STILL_MISSING: readonly string[] = [
  'Product.forecast',
  'Forecast',
  'ForecastPoint',
  'Backtest',
  'ErasureRequest',
  'Query.privacyExport',
  'Query.erasureRequest',
  'Mutation.erasureCreate',
]

contractTest('everything the contract promises stands in the schema with the same type, but for what is still to come', () => {
  const promised = partsOf(readFileSync(FILE, 'utf8'))
  const emitted = partsOf(readFileSync('schema.graphql', 'utf8'))
  const isExpected = (part: string) => STILL_MISSING.some(missing => part === missing || part.startsWith(`${missing}.`))
  const faults = [...promised].flatMap(([part, type]) => {
    if (emitted.get(part) === type || isExpected(part)) return []
    return [emitted.has(part) ? `${part} is ${emitted.get(part)}, but ${type} was promised` : `${part}: ${type} is missing`]
  })
  expect(faults).toEqual([])
})

contractTest('what was built does not stand in the list of what is still to come', () => {
  const promised = partsOf(readFileSync(FILE, 'utf8'))
  const emitted = partsOf(readFileSync('schema.graphql', 'utf8'))
  expect(STILL_MISSING.filter(part => emitted.has(part))).toEqual([])
  expect(STILL_MISSING.filter(part => !promised.has(part))).toEqual([])
})

// The conventions at the head of the contract hold for every operation.
/** Mutations whose work is the same however often it is asked: they move one thing from one state to another, or say what is so. */
const WITHOUT_KEY = ['jobCancel', 'jobRetry']
/** What people edit; everything else is created, moved from state to state, or recorded as it happened. */
const EDITED = /(Update|Upsert|BidSet|BudgetSet|Enable|Pause|End|Approve|Reject|Retire|Archive|Restore|Rebuild|Start|Stop|Demote)$/
/** Models are told apart by `expectedStatus`: nothing else of them changes. */
const BY_STATUS = ['modelApprove', 'modelReject']

test('every mutation can be tried by dryRun and answers with a preview and userErrors; all take an idempotency key, and edits the version that was seen', () => {
  const mutations = buildSchema(readFileSync('schema.graphql', 'utf8')).getMutationType()?.getFields() ?? {}
  expect(Object.keys(mutations).length).toBeGreaterThan(50)
  const faults = Object.entries(mutations).flatMap(([name, { args, type }]) => {
    const inputs = args.map(each => getNamedType(each.type))
    const given = [
      ...args.map(each => each.name),
      ...inputs.flatMap(each => (isInputObjectType(each) ? Object.keys(each.getFields()) : [])),
    ]
    const payload = getNamedType(type)
    const answered = isObjectType(payload) ? Object.keys(payload.getFields()) : []
    return [
      ...(given.includes('dryRun') ? [] : [`${name} takes no dryRun`]),
      ...['preview', 'userErrors', 'idempotentReplay'].filter(field => !answered.includes(field)).map(field => `${name} has no ${field}`),
      ...(given.includes('idempotencyKey') || WITHOUT_KEY.includes(name) ? [] : [`${name} takes no idempotencyKey`]),
      ...(!EDITED.test(name) || given.includes('expectedVersion') || (BY_STATUS.includes(name) && given.includes('expectedStatus'))
        ? []
        : [`${name} takes no expectedVersion`]),
    ]
  })
  expect(faults).toEqual([])
})

/** `Type`, `Type.field`, `Type.field.argument` and `Enum.VALUE`, each with its type as text. */
function partsOf(text: string): Map<string, string> {
  const parts = new Map<string, string>()
  for (const definition of parse(text).definitions as TypeDefinitionNode[]) {
    const type = definition.name.value
    parts.set(type, definition.kind)
    if (definition.kind === Kind.ENUM_TYPE_DEFINITION)
      for (const value of definition.values ?? []) parts.set(`${type}.${value.name.value}`, 'value')
    if ('interfaces' in definition)
      for (const { name } of definition.interfaces ?? []) parts.set(`${type}.implements ${name.value}`, 'interface')
    if (!('fields' in definition)) continue
    for (const field of (definition.fields ?? []) as readonly (FieldDefinitionNode | InputValueDefinitionNode)[]) {
      parts.set(`${type}.${field.name.value}`, print(field.type))
      if (!('arguments' in field)) continue
      for (const argument of field.arguments ?? []) parts.set(`${type}.${field.name.value}.${argument.name.value}`, typed(argument))
    }
  }
  return parts
}

function typed({ type, defaultValue }: InputValueDefinitionNode): string {
  return defaultValue ? `${print(type)} = ${print(defaultValue)}` : print(type)
}
