import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import { runCommand } from '../support/command.js'

// npm run evaluate on folders of a user's own, as the command line has it.
const root = mkdtempSync(join(tmpdir(), 'bellwether evaluate '))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let folders = 0
function folderOf(files: Record<string, string | Buffer>): string {
  const folder = join(root, String(folders++))
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

const evaluate = (...args: string[]) => runCommand('evaluate', args)

interface Line {
  protocol: string
  method: string
  seconds: number
  peakMegabytes: number
  [metric: string]: number | string
}

async function results(...args: string[]): Promise<Line[]> {
  const { code, out, err } = await evaluate(...args, '--json')
  if (code !== 0) throw new Error(err)
  return out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Line)
}

/** Two tastes, ids as shops have them; each user's sixth item is what is to be found. */
const users = Array.from({ length: 24 }, (_, at) => `客户-${at}`)
const itemsOf = (at: number, size = 6) => Array.from({ length: size }, (_, step) => `${at % 2 ? 'tent' : 'tea'}/${(at + step) % 8}`)
const csv = (header: string, rows: string[], end = '\n') => [header, ...rows].join(end) + end
const train = users.flatMap((user, at) =>
  itemsOf(at, 5).map((item, step) => `${user},${item},${3 + ((at + step) % 3)},${1_700_000_000 + step}`),
)
const probe = users.map((user, at) => `${user},${itemsOf(at)[5]},4,1700000100`)
const HEADER = 'user,item,rating,timestamp'
const plain = folderOf({ 'train.csv': csv(HEADER, train), 'test.csv': csv(HEADER, probe) })
const FEW = ['--methods', 'popularity,item-cf']
const withoutCost = (lines: Line[]) => lines.map(({ seconds, peakMegabytes, searchSeconds, ...rest }) => rest)

describe('a folder with train.csv and test.csv', () => {
  test('top-n ranks by every recommender, and taste beats popularity', async () => {
    const [popularity, itemCf] = await results('top-n', '--data', plain, ...FEW)
    expect(popularity).toMatchObject({ protocol: 'top-n', method: 'popularity', users: users.length })
    expect(itemCf.ndcgAt10).toBeGreaterThan(popularity.ndcgAt10 as number)
    expect(itemCf.recallAt10).toBe(1)
    expect(itemCf.seconds).toBeGreaterThan(0)
    expect(itemCf.peakMegabytes).toBeGreaterThan(10)
  }, 60_000)

  test('who bought the same again counts once where it is asked how many had it', async () => {
    const twice = folderOf({ 'train.csv': csv(HEADER, [...train, ...train]), 'test.csv': csv(HEADER, probe) })
    const [once, again] = [
      await results('top-n', '--data', plain, '--methods', 'popularity'),
      await results('top-n', '--data', twice, '--methods', 'popularity'),
    ]
    expect(again[0].novelty).toBe(once[0].novelty)
  }, 60_000)

  test('a folder of one rating has finite errors by every method', async () => {
    const lines = await results(
      'rating',
      '--data',
      folderOf({ 'train.csv': 'user,item,rating\na,b,5\n', 'test.csv': 'user,item,rating\na,c,4\n' }),
    )
    for (const { method, rmse } of lines) expect([method, rmse]).toEqual([method, 1])
  }, 60_000)

  test.each([
    ['CRLF', { 'train.csv': csv(HEADER, train, '\r\n'), 'test.csv': csv(HEADER, probe, '\r\n') }],
    ['a BOM', { 'train.csv': `\uFEFF${csv(HEADER, train)}`, 'test.csv': `\uFEFF${csv(HEADER, probe)}` }],
    [
      'quotes, blank lines and spaces in the header',
      {
        'train.csv': csv(
          ' user , item,rating, timestamp',
          train.map(row => row.replace(/^([^,]+)/, '"$1"')).flatMap(row => [row, '']),
        ),
        'test.csv': csv(HEADER, probe),
      },
    ],
    [
      'other columns, in another order',
      {
        'train.csv': csv(
          'note,timestamp,item,user,rating',
          train.map(row => row.split(',')).map(([user, item, rating, time]) => `"a, b",${time},${item},${user},${rating}`),
        ),
        'test.csv': csv(HEADER, probe),
      },
    ],
  ])(
    '%s changes nothing',
    async (_, files) => {
      for (const protocol of ['top-n', 'rating']) {
        const methods = protocol === 'rating' ? ['--methods', 'biases,item-cf'] : FEW
        expect(withoutCost(await results(protocol, '--data', folderOf(files), ...methods))).toEqual(
          withoutCost(await results(protocol, '--data', plain, ...methods)),
        )
      }
    },
    90_000,
  )

  test('rating predicts ratings of known and unknown people and things', async () => {
    const folder = folderOf({
      'train.csv': csv(HEADER, train),
      'test.csv': csv(HEADER, [...probe, 'stranger,tea/0,5,1', `${users[0]},never seen,1,1`]),
    })
    const lines = await results('rating', '--data', folder)
    expect(lines.map(({ method }) => method)).toEqual(expect.arrayContaining(['biases', 'user-cf', 'item-cf', 'svd']))
    for (const { rmse, mae } of lines) {
      expect(rmse).toBeGreaterThan(0)
      expect(mae).toBeLessThanOrEqual(rmse as number)
    }
  }, 60_000)

  test('negatives.csv: each user’s own are ranked, and nothing else', async () => {
    const rivals = users.flatMap((user, at) =>
      ['tent/0', 'tent/1', 'tea/0', 'tea/1'].filter(item => !itemsOf(at).includes(item)).map(item => `${user},${item}`),
    )
    const folder = folderOf({ 'train.csv': csv(HEADER, train), 'test.csv': csv(HEADER, probe), 'negatives.csv': csv('user,item', rivals) })
    const [line] = await results('top-n', '--data', folder, '--methods', 'popularity')
    // One positive against at most four: it is always among the first ten.
    expect(line.recallAt10).toBe(1)
    const [all] = await results('top-n', '--data', plain, '--methods', 'popularity')
    expect(all.recallAt10).toBeLessThanOrEqual(1)
    expect(line.ndcgAt10).not.toBe(all.ndcgAt10)
  }, 60_000)

  test('items.csv: what items are finds the ones nobody has touched', async () => {
    const cold = users.map((user, at) => `${user},new ${at % 2 ? 'tent' : 'tea'},4,1700000100`)
    const names = ['tea', 'tent'].flatMap(kind =>
      [...Array.from({ length: 8 }, (_, at) => `${kind}/${at}`), `new ${kind}`].map(
        item => `${item},"${kind} for you, ""fine""",${kind}|all,${kind === 'tea' ? 5 : 90}`,
      ),
    )
    const files = { 'train.csv': csv(HEADER, train), 'test.csv': csv(HEADER, cold) }
    const described = folderOf({ ...files, 'items.csv': csv('item,text,categories,price', names) })
    const [withText] = await results('top-n', '--data', described, '--methods', 'content')
    const [without] = await results('top-n', '--data', folderOf(files), '--methods', 'content')
    expect(withText.ndcgAt10).toBeGreaterThan((without.ndcgAt10 as number) + 0.3)
  }, 60_000)

  test('without --json it is a table, and the same run gives the same numbers', async () => {
    const { code, out } = await evaluate('top-n', '--data', plain, ...FEW)
    expect(code).toBe(0)
    expect(out).toMatch(/^top-n +.*ndcgAt10.* seconds +MB$/m)
    const [, itemCf] = await results('top-n', '--data', plain, ...FEW)
    expect(out).toMatch(new RegExp(`^item-cf .*${(itemCf.ndcgAt10 as number).toFixed(4)}`, 'm'))
  }, 60_000)
})

describe('what cannot be measured is one sentence with the place', () => {
  const good = csv(HEADER, probe)
  test.each<[string, string, Record<string, string | Buffer> | string | undefined, RegExp]>([
    ['no folder given', 'top-n', undefined, /^Give the folder of your data by --data FOLDER/],
    ['no such folder', 'top-n', '/nowhere/at all', /^There is no \/nowhere\/at all\/train\.csv$/m],
    ['no test.csv', 'top-n', { 'train.csv': good }, /^There is no .*test\.csv$/m],
    ['an empty file', 'rating', { 'train.csv': '', 'test.csv': good }, /train\.csv has no rows$/m],
    ['a header alone', 'rating', { 'train.csv': `${HEADER}\n`, 'test.csv': good }, /train\.csv has no rows$/m],
    [
      'a missing column',
      'rating',
      { 'train.csv': csv('user,thing,rating', ['a,b,3']), 'test.csv': good },
      /train\.csv line 1: the header lacks item; it has user, thing, rating$/m,
    ],
    ['no ratings', 'rating', { 'train.csv': csv('user,item', ['a,b']), 'test.csv': good }, /train\.csv line 1: the header lacks rating/],
    [
      'a rating that is none',
      'rating',
      { 'train.csv': csv(HEADER, ['a,b,3,1', 'a,c,good,1']), 'test.csv': good },
      /train\.csv line 3: rating is no number: "good"$/m,
    ],
    ['NaN', 'rating', { 'train.csv': csv(HEADER, ['a,b,NaN,1']), 'test.csv': good }, /train\.csv line 2: rating is no number: "NaN"$/m],
    [
      'Infinity',
      'rating',
      { 'train.csv': csv(HEADER, ['a,b,Infinity,1']), 'test.csv': good },
      /train\.csv line 2: rating is no number: "Infinity"$/m,
    ],
    [
      'a time that is none',
      'top-n',
      { 'train.csv': csv(HEADER, ['a,b,1,yesterday']), 'test.csv': good },
      /train\.csv line 2: timestamp is no number: "yesterday"$/m,
    ],
    ['an empty user', 'top-n', { 'train.csv': csv(HEADER, [',b,1,1']), 'test.csv': good }, /train\.csv line 2: user is empty$/m],
    [
      'a row that is too short',
      'top-n',
      { 'train.csv': csv(HEADER, ['a,b,1,1', 'a']), 'test.csv': good },
      /train\.csv is not CSV: .*line 3/,
    ],
    ['a quote that never ends', 'top-n', { 'train.csv': `${HEADER}\na,"b,1,1\n`, 'test.csv': good }, /train\.csv is not CSV: /],
    [
      'a name in Latin-1, which could become another one',
      'top-n',
      { 'train.csv': Buffer.from(csv(HEADER, ['a,b,1,1', 'José,b,1,1']), 'latin1'), 'test.csv': good },
      /train\.csv line 3 is not UTF-8; save the file as UTF-8$/m,
    ],
    [
      'a column that is there twice',
      'top-n',
      { 'train.csv': csv('user,item,item', ['a,b,c']), 'test.csv': good },
      /train\.csv line 1: the header has "item" twice$/m,
    ],
    [
      'a rating in hexadecimal',
      'rating',
      { 'train.csv': csv(HEADER, ['a,b,0x10,1']), 'test.csv': good },
      /train\.csv line 2: rating is no number: "0x10"$/m,
    ],
    [
      'negatives for some of the users only',
      'top-n',
      { 'train.csv': csv(HEADER, train), 'test.csv': good, 'negatives.csv': csv('user,item', ['客户-0,tent/1']) },
      /test\.csv line 3: .*negatives\.csv has no item for the user "客户-1"$/m,
    ],
    ['bytes that are no text', 'top-n', { 'train.csv': Buffer.from([0xff, 0xfe, 0x00, 0x01]), 'test.csv': good }, /train\.csv /],
    [
      'an item described twice',
      'top-n',
      { 'train.csv': good, 'test.csv': good, 'items.csv': csv('item,text', ['x,1', 'x,2']) },
      /items\.csv line 3: the item "x" stands there twice$/m,
    ],
    [
      'a price that is none',
      'top-n',
      { 'train.csv': good, 'test.csv': good, 'items.csv': csv('item,price', ['x,cheap']) },
      /items\.csv line 2: price is no number: "cheap"$/m,
    ],
    [
      'negatives without users',
      'top-n',
      { 'train.csv': good, 'test.csv': good, 'negatives.csv': csv('item', ['x']) },
      /negatives\.csv line 1: the header lacks user/,
    ],
  ])(
    '%s',
    async (_, protocol, files, sentence) => {
      const folder = typeof files === 'object' ? folderOf(files) : files
      const { code, out, err } = await evaluate(protocol, ...(folder ? ['--data', folder] : []))
      expect(err).toMatch(sentence)
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).not.toMatch(/^ +at /m)
    },
    30_000,
  )

  test.each([
    [[], /^Usage: npm run evaluate/],
    [['no-such-protocol'], /^Usage: npm run evaluate/],
    [['top-n', 'rating'], /^Usage: npm run evaluate/],
    [['top-n', '--data', plain, '--methods', 'magic'], /^top-n has no method magic; there are popularity/],
    [['top-n', '--nonsense'], /--nonsense/],
  ])(
    '%j',
    async (args, sentence) => {
      const { code, err } = await evaluate(...args)
      expect(err).toMatch(sentence)
      expect(code).toBe(1)
      expect(err).not.toMatch(/^ +at /m)
    },
    30_000,
  )
})
