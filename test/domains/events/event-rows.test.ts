import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type pg from 'pg'
import { EVENT_FIELDS, faultOf } from '../../../src/events/event-rules.js'
import type { BatchRows } from '../../../src/events/import-batch.js'
import { IMPORT_KINDS } from '../../../src/events/import-kinds.js'
import { ReferenceCache } from '../../../src/events/import-references.js'
import { type FileFormat, rowsOf } from '../../../src/events/import-rows.js'

const CONTEXT = { now: new Date('2026-01-31T12:00:00.000Z'), currency: 'EUR', fileId: 'file' }
/** Less than a line: in a CSV, those of a piece with quotes are not taken. */
const PIECE_BYTES = 40
/** Places of value, quantity and price in what is copied. */
const NUMERIC = [4, 5, 6]

/** Names become numbers as they are met, but for those that end in 7, which are nobody's, and no PostgreSQL is asked. */
class Names extends ReferenceCache {
  override async begin() {}
  override findUsers = async (_: pg.ClientBase, keys: readonly string[]) => this.number(this.users, keys)
  override findProducts = async (_: pg.ClientBase, keys: readonly string[]) => this.number(this.products, keys)
  private number(known: ReferenceCache['users'], keys: readonly string[]) {
    for (const key of keys.filter(name => !name.endsWith('7')))
      known.set([...Buffer.from(key)].reduce((hash, byte) => (hash * 31 + byte) % 1_000_003, 7) + 1, Buffer.from(key))
  }
}

/** What is copied of the rows of a file, what is refused and repeated, and how many were taken from their bytes. */
async function copied(file: string, format: FileFormat, isTaking: boolean) {
  async function* pieces() {
    const bytes = Buffer.from(file)
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
  }
  const rows: BatchRows = IMPORT_KINDS.events.batches(CONTEXT, format)()
  const refused: string[] = []
  let taken = 0
  let repeated = 0
  for await (const part of rowsOf(pieces(), format))
    for (const each of part) {
      const isAdded = isTaking ? rows.take?.(each) : undefined
      if (isAdded !== undefined) {
        taken++
        if (!isAdded) repeated++
        continue
      }
      const { line, raw, record, fault, names } = each.read()
      try {
        if (!record) refused.push(`${line} ${fault}`)
        else if (!rows.add({ line, raw, record, names })) repeated++
      } catch (error) {
        refused.push(`${line} ${faultOf(error)}`)
      }
    }
  const nameless = await rows.resolve?.(undefined as never, new Names(), 'reject')
  let text = ''
  const keep = (bytes: Buffer) => {
    text += bytes.toString()
    return undefined
  }
  await rows.copyInto({ text: keep } as never)
  const cells = text.split('\n').map(line =>
    // 1.50 and 0099 are the numbers 1.5 and 99 to PostgreSQL.
    line.split('\t').map((cell, at) => (NUMERIC.includes(at) && cell !== '\\N' ? String(Number(cell)) : cell)),
  )
  return { taken, result: { cells, refused, nameless, repeated, size: rows.size } }
}

async function sameBothWays(file: string, format: FileFormat): Promise<number> {
  const [bytes, records] = [await copied(file, format, true), await copied(file, format, false)]
  expect(bytes.result).toEqual(records.result)
  return bytes.taken
}

/** Mostly what files hold, now and then what they should not. */
const mostly = <T>(usual: fc.Arbitrary<T>, ...rare: T[]) =>
  fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...rare) })
const ids = (prefix: string) => fc.nat(30).map(number => `${prefix}-${number}`)
const RARE_IDS = ['', ' ', ' x', 'x ', 'é', '茶', 'a\\b', 'x'.repeat(200), 'x'.repeat(201), '\u{10FFFF}', 'a\u007fb', '0', '7']
const digits = (whole: number, fraction: number) =>
  fc
    .tuple(fc.nat(10 ** whole), fc.nat(fraction))
    .chain(([number, places]) =>
      fc.nat(10 ** places - 1).map(rest => (places === 0 ? String(number) : `${number}.${String(rest).padStart(places, '0')}`)),
    )
const RARE_NUMBERS = [
  '',
  '-1',
  '-0',
  '+1',
  '007',
  '0.',
  '.5',
  '1e3',
  '1e400',
  'NaN',
  '0x10',
  ' 1',
  '1 ',
  '9'.repeat(15),
  '9'.repeat(16),
  '1000000000',
  '1000000001',
  '1000000000.5',
]
const time = fc.oneof(
  fc.tuple(fc.nat(1_769_990_000_000), fc.constantFrom('Z', '+08:00', '-03:30', '+14:00')).map(([ms, zone]) => {
    const iso = new Date(ms).toISOString()
    return `${ms % 2 === 0 ? iso.slice(0, 19) : iso.slice(0, 23)}${zone}`
  }),
  fc.nat(1_769_990_000_000).map(String),
)
const RARE_TIMES = [
  '',
  '2026-02-30T00:00:00Z',
  '2024-02-29T00:00:00Z',
  '2025-02-29T00:00:00Z',
  '2025-13-01T00:00:00Z',
  '2025-01-01T24:00:00Z',
  '2025-01-01T23:59:60Z',
  '2025-01-01T00:00:00',
  '2025-01-01 00:00:00Z',
  '2025-01-01T00:00Z',
  '2025-01-01T00:00:00.1234Z',
  '2025-01-01T00:00:00.1Z',
  '2025-01-01t00:00:00z',
  '2025-01-01T00:00:00+0800',
  '2025-01-01T00:00:00+15:00',
  '2025-01-01T00:00:00+99:00',
  '2025-01-01T00:00:00-00:61',
  '1969-12-31T23:59:59Z',
  '1970-01-01T00:00:00+01:00',
  '2026-02-01T12:00:00Z',
  '2026-02-01T12:00:00.001Z',
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:59Z',
  '2025-01-0aT00:00:00Z',
  '2025-1-001T00:00:00Z',
  '1',
  '-1',
  '01',
  '99999999999999',
  '1e3',
]
const event = fc.record({
  messageId: mostly(ids('m'), ...RARE_IDS),
  userId: mostly(ids('u'), ...RARE_IDS),
  anonymousId: mostly(fc.constant(''), ...RARE_IDS, 'visitor'),
  productId: mostly(ids('p'), ...RARE_IDS),
  type: mostly(
    fc.constantFrom('VIEW', 'PURCHASE', 'view', 'Add_To_Cart', 'RATING', 'REFUND'),
    '',
    'VIEWS',
    'ADD-TO-CART',
    'ADD\u007fTO\u007fCART',
    'ſIEW',
    '7',
  ),
  value: mostly(digits(6, 8), ...RARE_NUMBERS),
  quantity: mostly(fc.nat(9_999).map(String), ...RARE_NUMBERS, '1.0'),
  price: mostly(digits(9, 6), ...RARE_NUMBERS, '0.0000001', '1.1234567'),
  currency: mostly(fc.constantFrom('EUR', 'CNY', 'usd', ''), 'EURO', 'XXA', '123', 'eu'),
  timestamp: mostly(time, ...RARE_TIMES),
  properties: mostly(fc.constant(''), '{}', '{"a":1}', '[]', 'x'),
  other: mostly(ids('o'), '', '"', 'a"b', '茶', '1e5', 'true', '[1]'),
})
const KEYS = [...EVENT_FIELDS, 'other'] as const
/** One order and choice of names for a file, which some of its lines do not keep to. */
const file = fc.record({
  names: fc.shuffledSubarray([...KEYS], { minLength: 8 }),
  events: fc.array(fc.record({ event, isOther: fc.nat(30).map(chance => chance === 0), blanks: fc.constantFrom('', '', ' ', '  ') }), {
    maxLength: 40,
    size: 'max',
  }),
  end: fc.constantFrom('\n', '\r\n', '\n\n', '\n \n'),
  isEnded: fc.boolean(),
})

describe('events that are read from their bytes are those that are read one by one', () => {
  test('in a CSV', async () => {
    let taken = 0
    await fc.assert(
      fc.asyncProperty(file, async ({ names, events, end, isEnded }) => {
        const lines = events.map(({ event: each, isOther }) => [...names.map(name => each[name]), ...(isOther ? ['more'] : [])].join(','))
        taken += await sameBothWays([names.join(','), ...lines].join(end) + (isEnded ? end : ''), 'csv')
      }),
      { numRuns: 500 },
    )
    expect(taken).toBeGreaterThan(1_000)
  })

  test('in lines of JSON, as texts and as numbers', async () => {
    let taken = 0
    const isNumber = (text: string) => /^-?(0|[1-9]\d*)(\.\d+)?(e\d+)?$/.test(text)
    await fc.assert(
      fc.asyncProperty(
        file,
        fc.array(fc.constantFrom('text', 'number', 'null', 'bare'), { minLength: 12, maxLength: 12 }),
        async ({ names, events, end, isEnded }, forms) => {
          const lines = events.map(({ event: each, isOther, blanks }) => {
            const cells = names.map((name, at) => {
              const text = each[name]
              const value =
                (forms[at] === 'number' && isNumber(text)) || (forms[at] === 'bare' && isOther)
                  ? text
                  : text === '' && forms[at] === 'null'
                    ? 'null'
                    : JSON.stringify(text)
              return `"${name}":${blanks}${value}`
            })
            if (isOther) cells.reverse()
            return `${blanks}{${blanks}${cells.join(`${blanks},${blanks}`)}}${blanks}`
          })
          taken += await sameBothWays(lines.join(end) + (isEnded ? end : ''), 'ndjson')
        },
      ),
      { numRuns: 500 },
    )
    expect(taken).toBeGreaterThan(1_000)
  })

  test('also where a column has no name, or a row too few cells, or a name is of digits', async () => {
    const row = 'm,u,VIEW,2025-01-01T00:00:00Z'
    expect(await sameBothWays(`messageId,userId,type,timestamp,,\n${row},,\n${row},\n${row},,,\n${row}\n`, 'csv')).toBe(0)
    expect(await sameBothWays(`messageId,userId,type,timestamp,7,1\na${row},,\nb${row},\nc${row},x,\nd${row},,\n`, 'csv')).toBe(2)
    const json = (id: string) => `{"messageId":"${id}","userId":"u","type":"VIEW","timestamp":1,"7":1,"1":2}`
    expect(await sameBothWays([json('a'), json('b'), json('a'), json('c').slice(0, -1), `${json('d')},`].join('\n'), 'ndjson')).toBe(0)
    expect(
      await sameBothWays(
        [json('a'), json('b'), json('a'), json('c').slice(0, -1), `${json('d')},`].join('\n').replaceAll(/,"7":1,"1":2/g, ''),
        'ndjson',
      ),
    ).toBe(2)
  })
})
