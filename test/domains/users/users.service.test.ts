import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { OrderDirection } from '../../../src/graphql/order.js'
import { Conflict, InvalidInput, NotFound } from '../../../src/platform/errors.js'
import { cleanUser, type UserFacts } from '../../../src/users/user-rules.js'
import { UsersRepository } from '../../../src/users/users.repository.js'
import { UserOrderField } from '../../../src/users/users.schema.js'
import { UsersService } from '../../../src/users/users.service.js'
import { createTestDatabase } from '../../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let users: UsersService
const now = new Date('2026-06-01T12:00:00Z')

beforeAll(async () => {
  database = await createTestDatabase()
  users = new UsersService(new UsersRepository(database), () => now)
})
afterAll(() => database.drop())

const stored = (externalId: string) => database.prisma.user.findUniqueOrThrow({ where: { externalId }, include: { consents: true } })

describe('an upsert', () => {
  test('creates the user with the facts in one form', async () => {
    const user = await users.upsert({
      externalId: 'anna',
      email: ' anna@example.com ',
      phone: '+49 (30) 123-456',
      country: 'de',
      locale: 'de_de',
      birthYear: 1990,
    })
    expect(user).toMatchObject({
      externalId: 'anna',
      email: 'anna@example.com',
      phone: '+4930123456',
      country: 'DE',
      locale: 'de-DE',
      birthYear: 1990,
      version: 1,
      anonymous: false,
    })
  })

  test('changes only what is given: undefined stays, null clears', async () => {
    await users.upsert({ externalId: 'bert', city: 'Köln', gender: 'male', traits: { plan: 'gold' } })
    const changed = await users.upsert({ externalId: 'bert', city: null, country: 'CN' })
    expect(changed).toMatchObject({ city: null, gender: 'male', country: 'CN', traits: { plan: 'gold' }, version: 2 })
  })

  test('that says nothing new creates a missing user and leaves a known one as it is', async () => {
    expect(await users.upsert({ externalId: 'nothing' })).toMatchObject({ version: 1 })
    expect(await users.upsert({ externalId: 'nothing' })).toMatchObject({ version: 1 })
  })

  test('replaces traits, or joins them when told to', async () => {
    await users.upsert({ externalId: 'traits', traits: { a: 1, b: { c: 2 } } })
    expect((await users.upsert({ externalId: 'traits', traits: { d: 4 } }, { mergeTraits: true })).traits).toEqual({
      a: 1,
      b: { c: 2 },
      d: 4,
    })
    expect((await users.upsert({ externalId: 'traits', traits: { e: 5 } })).traits).toEqual({ e: 5 })
    expect((await users.upsert({ externalId: 'traits', traits: null })).traits).toEqual({})
  })

  test('with a stale version is a conflict that says which version is stored', async () => {
    await users.upsert({ externalId: 'stale', city: 'Bonn' })
    await users.upsert({ externalId: 'stale', city: 'Bern' }, { expectedVersion: 1 })
    const refused = users.upsert({ externalId: 'stale', city: 'Rome' }, { expectedVersion: 1 })
    await expect(refused).rejects.toMatchObject({
      userCode: 'VERSION_CONFLICT',
      message: 'This user was changed in the meantime: it has version 2',
      field: ['expectedVersion'],
    })
    expect((await stored('stale')).city).toBe('Bern')
  })

  test('with version 0 insists on a new user, with another one on a known user', async () => {
    expect(await users.upsert({ externalId: 'fresh' }, { expectedVersion: 0 })).toMatchObject({ version: 1 })
    await expect(users.upsert({ externalId: 'fresh' }, { expectedVersion: 0 })).rejects.toThrow(Conflict)
    await expect(users.upsert({ externalId: 'nobody' }, { expectedVersion: 3 })).rejects.toThrow(NotFound)
  })

  test('of fifty at once with one expected version succeeds exactly once', async () => {
    await users.upsert({ externalId: 'race', city: 'start' })
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => users.upsert({ externalId: 'race', city: `city ${index}` }, { expectedVersion: 1 })),
    )
    const failures = results.filter(result => result.status === 'rejected').map(result => result.reason)
    expect(failures).toHaveLength(49)
    expect(failures.every(reason => reason instanceof Conflict && reason.userCode === 'VERSION_CONFLICT')).toBe(true)
    expect((await stored('race')).version).toBe(2)
  })

  test('of fifty at once without a version loses none of them', async () => {
    await Promise.all(Array.from({ length: 50 }, (_, index) => users.upsert({ externalId: 'crowd', city: `city ${index}` })))
    expect((await stored('crowd')).version).toBe(50)
  })

  test('keeps the newest statement about each purpose, whatever the order of arrival', async () => {
    const consent = (granted: boolean, at: string) => ({
      externalId: 'consent',
      consents: [{ purpose: 'ADS' as const, granted, at: new Date(at), source: 'shop' }],
    })
    await users.upsert(consent(false, '2026-03-01T00:00:00Z'))
    await users.upsert(consent(true, '2026-01-01T00:00:00Z'))
    expect((await stored('consent')).consents).toMatchObject([{ purpose: 'ADS', granted: false, source: 'shop' }])
    await users.upsert(consent(true, '2026-05-01T00:00:00Z'))
    expect((await stored('consent')).consents).toMatchObject([{ purpose: 'ADS', granted: true }])
  })
})

describe('a preview', () => {
  test('says what would change and stores nothing', async () => {
    await users.upsert({ externalId: 'preview', city: 'Bonn', traits: { b: 1, a: 2 } })
    const facts: UserFacts = { externalId: 'preview', city: 'Bern', traits: { a: 2, b: 1 }, consents: [{ purpose: 'ADS', granted: true }] }
    expect(await users.preview(facts)).toEqual({
      creates: false,
      changes: [
        { field: 'city', before: 'Bonn', after: 'Bern' },
        { field: 'consents.ADS', before: null, after: true },
      ],
    })
    expect(await stored('preview')).toMatchObject({ city: 'Bonn', version: 1, consents: [] })
    expect(await users.preview({ externalId: 'not yet', city: 'Bern' })).toMatchObject({ creates: true })
    expect(await users.byExternalId('not yet')).toBeNull()
  })

  test('refuses what the upsert would refuse', async () => {
    await users.upsert({ externalId: 'strict' })
    await expect(users.preview({ externalId: 'strict' }, { expectedVersion: 7 })).rejects.toThrow(Conflict)
    await expect(users.preview({ externalId: 'strict', country: 'Atlantis' })).rejects.toThrow(InvalidInput)
  })
})

describe('bad facts', () => {
  const refused: [string, Omit<UserFacts, 'externalId'> & { externalId?: string }, RegExp][] = [
    ['an empty id', { externalId: '' }, /externalId must not be empty/],
    ['a blank id', { externalId: '   ' }, /externalId must not be empty/],
    ['an id of 201 characters', { externalId: 'x'.repeat(201) }, /at most 200 characters, not 201/],
    ['a NUL in the id', { externalId: 'a\0b' }, /NUL/],
    ['half a surrogate pair', { name: 'a\ud800b' }, /surrogate/],
    ['an e-mail without a domain', { email: 'anna@' }, /name@example.com/],
    ['an e-mail with a blank', { email: 'an na@example.com' }, /name@example.com/],
    ['letters in a phone number', { phone: '+49 CALL ME' }, /5 to 15 digits/],
    ['a birth year in the future', { birthYear: 2027 }, /from 1900 to 2026, not 2027/],
    ['a birth year before 1900', { birthYear: 1899 }, /from 1900 to 2026/],
    ['a birth year that is not a number', { birthYear: Number.NaN }, /not NaN/],
    ['a country that does not exist', { country: 'QQ' }, /ISO 3166/],
    ['a country by its name', { country: 'Germany' }, /ISO 3166/],
    ['a locale that is none', { locale: 'english please' }, /BCP 47/],
    ['traits that are a list', { traits: [1] }, /traits must be a JSON object/],
    ['traits of 17 kB', { traits: { text: 'x'.repeat(17_000) } }, /at most 16384 bytes/],
    ['traits nested nine deep', { traits: JSON.parse(`${'{"a":'.repeat(9)}1${'}'.repeat(9)}`) }, /nested too deeply/],
    ['traits with infinity', { traits: JSON.parse('{"a": 1e999}') }, /NaN or Infinity/],
    ['traits with NUL in a key', { traits: { 'a\0': 1 } }, /NUL/],
    ['a creation in the year 9999', { createdAt: new Date('9999-12-31T00:00:00Z') }, /createdAt must be a time from 1900 until now/],
    ['a creation in the year 0', { createdAt: new Date('0000-01-01T00:00:00Z') }, /createdAt must be a time/],
    ['a creation at no time', { createdAt: new Date(Number.NaN) }, /createdAt must be a time/],
    [
      'two consents to one purpose',
      {
        consents: [
          { purpose: 'ADS', granted: true },
          { purpose: 'ADS', granted: false },
        ],
      },
      /each purpose once/,
    ],
  ]
  test.each(refused)('%s is refused with a sentence', async (_, facts, sentence) => {
    await expect(users.upsert({ externalId: 'bad', ...facts })).rejects.toThrow(InvalidInput)
    await expect(users.upsert({ externalId: 'bad', ...facts })).rejects.toThrow(sentence)
    expect(await database.prisma.user.count({ where: { externalId: 'bad' } })).toBe(0)
  })

  test('of any text whatever is either refused with a sentence or stored to the letter', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 250 }),
      fc.string({ unit: 'grapheme', maxLength: 250 }),
      fc.constantFrom('\ud800', 'a\0', "'; DROP TABLE x; --", '\u202e', '%_\\'),
    )
    await fc.assert(
      fc.asyncProperty(text, text, text, async (externalId, city, trait) => {
        const facts = { externalId, city, traits: { [trait]: trait } }
        const outcome = await users.upsert(facts).catch(error => error)
        if (outcome instanceof InvalidInput) return
        expect(outcome).toMatchObject({ externalId, city: city.trim(), traits: { [trait]: trait } })
        expect(await users.byExternalId(externalId)).toMatchObject({ externalId, city: city.trim() })
      }),
      { numRuns: 150 },
    )
  })

  test('a trait named __proto__ is data like any other', () => {
    const { changes } = cleanUser({ externalId: 'x', traits: JSON.parse('{"__proto__": {"polluted": true}}') }, now)
    expect(changes.traits.value).toBe('{"__proto__":{"polluted":true}}')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('stubs', () => {
  test('are made for whoever is missing, once, by many at once', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `stub-${index}`)
    await users.upsert({ externalId: 'stub-3', city: 'Bonn' })
    const answers = await Promise.all(Array.from({ length: 8 }, (_, turn) => users.ensureStubs(turn % 2 ? ids : [...ids].reverse())))
    for (const answer of answers) expect(new Map([...answer].sort())).toEqual(new Map([...answers[0]].sort()))
    expect(answers[0].size).toBe(40)
    expect(await stored('stub-3')).toMatchObject({ city: 'Bonn', version: 1 })
  })
})

describe('a list', () => {
  const walk = async (request: Omit<Parameters<UsersService['page']>[0], 'first' | 'after'>, first: number) => {
    const seen: string[] = []
    for (let after: string | undefined; ; ) {
      const page = await users.page({ ...request, first, after })
      seen.push(...page.nodes.map(user => user.externalId))
      if (!page.pageInfo.hasNextPage) return seen
      after = page.pageInfo.endCursor!
    }
  }

  beforeAll(async () => {
    // Three users a day, so that pages break inside of equal times.
    for (let index = 0; index < 30; index++) {
      const createdAt = new Date(Date.UTC(2025, 0, 1 + Math.floor(index / 3)))
      await users.upsert({
        externalId: `list-${String(index).padStart(2, '0')}`,
        city: index % 2 ? 'Odd' : 'Even',
        email: `list${index}@example.com`,
        createdAt,
      })
    }
  })
  const inOrder = Array.from({ length: 30 }, (_, index) => `list-${String(index).padStart(2, '0')}`)

  test.each([
    [UserOrderField.CREATED_AT, OrderDirection.ASC],
    [UserOrderField.CREATED_AT, OrderDirection.DESC],
    [UserOrderField.EXTERNAL_ID, OrderDirection.ASC],
    [UserOrderField.EXTERNAL_ID, OrderDirection.DESC],
  ])('by %s %s shows everyone exactly once, page by page', async (field, direction) => {
    const expected = direction === OrderDirection.ASC ? inOrder : [...inOrder].reverse()
    expect(await walk({ where: { search: 'list-' }, orderBy: { field, direction } }, 4)).toEqual(expected)
  })

  test('is filtered by what is asked, and counts what matches', async () => {
    const page = await users.page({
      first: 5,
      where: { search: 'list-', city: 'Odd', createdFrom: new Date('2025-01-02'), createdTo: new Date('2025-01-04') },
    })
    expect(page.nodes.map(user => user.externalId)).toEqual(['list-03', 'list-05', 'list-07'])
    expect(await page.totalCount()).toBe(3)
    expect((await users.page({ first: 5, where: { email: 'list7@example.com' } })).nodes).toHaveLength(1)
  })

  test('takes wild cards in a search as letters', async () => {
    await users.upsert({ externalId: '100%_sure' })
    expect((await users.page({ first: 5, where: { search: '100%_' } })).nodes).toHaveLength(1)
    expect((await users.page({ first: 5, where: { search: '%sure' } })).nodes).toHaveLength(0)
  })

  test('refuses forged cursors and impossible filters with a sentence', async () => {
    const forged = (cursor: unknown) => Buffer.from(JSON.stringify(cursor)).toString('base64url')
    for (const after of [
      'x',
      forged(['2025-01-01', '1']),
      forged(['2025-13-45T00:00:00.000Z', '1']),
      forged(['2025-01-01T00:00:00.000Z', '99999999999']),
      forged(['0000-01-01T00:00:00.000Z', '1']),
    ])
      await expect(users.page({ first: 5, after })).rejects.toThrow('after is not a cursor of this list')
    await expect(users.page({ first: 101 })).rejects.toThrow('first must be between 0 and 100, not 101')
    await expect(users.page({ first: 1, where: { search: 'a\0' } })).rejects.toThrow(InvalidInput)
    await expect(users.page({ first: 1, where: { createdFrom: new Date('0000-01-01T00:00:00Z') } })).rejects.toThrow(InvalidInput)
  })
})
