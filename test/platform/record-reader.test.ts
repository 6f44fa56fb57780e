import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { repeatedKey } from '../../src/platform/json-text.js'
import { RecordReader } from '../../src/platform/record-reader.js'

const LIKE_ROWS = {
  '{"a":"x","b":1.5,"c":null}': true,
  '{"a":"y","b":-0,"c":true}': true,
  ' { "a" : "z", "b" : 20 , "c" : [ {"d": "]"} ] } ': true,
}

/** What the slower way makes of a text. */
function parsed(text: string): unknown {
  try {
    const value = JSON.parse(text)
    return typeof value !== 'object' || value === null || Array.isArray(value) || repeatedKey(text, value) !== undefined ? undefined : value
  } catch {
    return undefined
  }
}

/** Reads the texts one after the other; how many were read, each as JSON.parse does. */
function readAll(texts: readonly string[]): number {
  const reader = new RecordReader()
  let count = 0
  for (const text of texts) {
    const record = reader.read(text)
    if (record === undefined) continue
    expect(record).toStrictEqual(parsed(text))
    expect(Object.keys(record)).toEqual(Object.keys(parsed(text) as object))
    count++
  }
  return count
}

test('rows as files have them are read, and as JSON.parse does', () => {
  const texts = Object.keys(LIKE_ROWS)
  expect(
    readAll([
      ...texts,
      '{"b":1,"a":"names in another order"}',
      ...texts,
      '{"a":{},"b":[],"c":"","d":0.1}',
      '{"1":999999999999999,"0":0.0000000000001}',
    ]),
  ).toBe(2 * texts.length + 3)
})

test('what is no object, gives a name twice or is rare is left to the slower way', () => {
  const reader = new RecordReader()
  reader.read('{"a":1,"b":2}')
  const texts = [
    '',
    ' ',
    '{}',
    '[]',
    '1',
    '{"a":1',
    '{"a":1}}',
    '{"a":1}{"b":2}',
    '{"a":1,}',
    '{,"a":1}',
    '{"a" 1}',
    '{a:1}',
    '{"a":1,"b":2,"a":3}',
    '{"b":1,"b":2}',
    '{"a":1,"a":2}',
  ]
  const values = [
    '01',
    '-',
    '.5',
    '1.',
    '1.2.3',
    '1e5',
    '1E5',
    '-01',
    '00',
    '+1',
    'NaN',
    'nul',
    'True',
    '"',
    '"a',
    '"\\u0041"',
    '"\t"',
    '[1',
    '{"x":1,"x":2}',
    '[1}',
    '1234567890123456',
    '0.1234567890123456',
  ]
  for (const text of [
    ...texts,
    ...values.map(value => `{"a":${value}}`),
    '{"__proto__":{"a":1}}',
    '{"a":1,"__proto__":2}',
    '{"a":1}\u00a0',
  ])
    expect([text, reader.read(text)]).toEqual([text, undefined])
})

test('whatever is read is what JSON.parse reads, and of texts that are nearly JSON too', () => {
  const word = fc.string({ unit: fc.constantFrom(...'abc 1é中😀:{}[],'), maxLength: 5 })
  const value = fc.oneof(word, fc.integer(), fc.jsonValue({ maxDepth: 2 }), fc.array(word), fc.dictionary(word, word))
  const row = fc.oneof(fc.dictionary(word, value, { minKeys: 1 }), fc.record({ a: word, b: value, c: fc.boolean() }))
  const text = fc
    .tuple(row, fc.constantFrom(undefined, 1))
    .map(([value, indent]) => JSON.stringify(value, undefined, indent)?.replaceAll('\n', ' '))
  let read = 0
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, fc.nat(), fc.constantFrom('', '', '"', ',', ':', '}', '{', '0', '.', '-', ' ')), { maxLength: 8 }),
      cases => {
        read += readAll(
          cases.map(([each, at, extra]) =>
            extra === '' ? each : each.slice(0, at % (each.length + 1)) + extra + each.slice((at % (each.length + 1)) + (at % 2)),
          ),
        )
      },
    ),
    { numRuns: 1_000, seed: 3 },
  )
  expect(read).toBeGreaterThan(1_000)
})

test('numbers are the nearest ones to their decimals', () => {
  fc.assert(
    fc.property(fc.bigInt(-999_999_999_999_999n, 999_999_999_999_999n), fc.nat(14), (digits, decimals) => {
      const text = `${digits < 0n ? '-' : ''}${String(digits < 0n ? -digits : digits).padStart(decimals + 1, '0')}`
      const number = decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`
      const record = new RecordReader().read(`{"a":${number}}`)
      if (record) expect(record).toStrictEqual({ a: JSON.parse(number) })
      else expect(number.replace('-', '').length).toBeGreaterThan(15)
    }),
    { numRuns: 2_000, seed: 4 },
  )
})
