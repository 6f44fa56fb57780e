import { describe, expect, test } from '@jest/globals'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { arranged, reranked, similarity } from '../../../src/recommendations/diversity.js'
import { byBrand, byCategory, byPriceBand, type Shown } from '../../../src/recommendations/exposure.js'
import {
  compileCaps,
  compileEffects,
  compileFilters,
  emptiedBy,
  NO_RULES,
  rulesFromJson,
  rulesToJson,
  type Steerable,
} from '../../../src/recommendations/rules.js'

interface Candidate {
  score: number
  product: { categories: string[]; brand: string | null }
}

/** People whose candidates are mostly of one taste, as a recommender makes them: the better the score, the likelier the loved category. */
function worldOf(people: number): Candidate[][] {
  const random = createRandom(7)
  return Array.from({ length: people }, () => {
    const loved = Math.floor(8 * random.next())
    return Array.from({ length: 60 }, (_, at) => ({
      score: 1 / (1 + at / 12) + 0.05 * random.next(),
      product: {
        categories: [`c${random.next() < 0.85 - at / 100 ? loved : Math.floor(8 * random.next())}`],
        brand: `b${Math.floor(6 * random.next())}`,
      },
    })).sort((a, b) => b.score - a.score)
  })
}
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const unlikeness = (list: Candidate[]) => mean(list.flatMap((a, at) => list.slice(at + 1).map(b => 1 - similarity(a, b))))

describe('maximal marginal relevance', () => {
  test('as the knob is turned lists grow more diverse and less relevant, step by step', () => {
    const people = worldOf(200)
    const steps = Array.from({ length: 11 }, (_, at) => at / 10).map(diversity => {
      const lists = people.map(candidates => reranked(candidates, diversity, 10))
      return { unlike: mean(lists.map(unlikeness)), relevance: mean(lists.map(list => mean(list.map(({ score }) => score)))) }
    })
    for (const [at, step] of steps.entries()) {
      if (at === 0) continue
      expect(step.unlike).toBeGreaterThanOrEqual(steps[at - 1].unlike - 1e-9)
      expect(step.relevance).toBeLessThanOrEqual(steps[at - 1].relevance + 1e-9)
    }
    const [first, last] = [steps[0], steps[10]]
    expect(last.unlike).toBeGreaterThan(1.3 * first.unlike)
    expect(last.relevance).toBeLessThan(0.95 * first.relevance)
  })

  test('each step takes what the formula says', () => {
    const [candidates] = worldOf(1)
    const list = reranked(candidates, 0.5, 10)
    const scores = candidates.map(({ score }) => score)
    const [low, high] = [Math.min(...scores), Math.max(...scores)]
    for (const [place, taken] of list.entries()) {
      const above = list.slice(0, place)
      const worth = (each: Candidate) =>
        (0.5 * (each.score - low)) / (high - low) - 0.5 * above.reduce((most, other) => Math.max(most, similarity(each, other)), 0)
      const best = Math.max(...candidates.filter(each => !above.includes(each)).map(worth))
      expect(worth(taken)).toBeCloseTo(best, 12)
    }
  })

  test('nothing, one, and equals are arranged too', () => {
    expect(reranked([], 0.5, 10)).toEqual([])
    const equal = Array.from({ length: 5 }, () => ({ score: 0, product: { categories: [], brand: null } }))
    expect(reranked(equal, 1, 10)).toEqual(equal)
    expect(reranked(equal, 0, 0)).toEqual([])
  })

  test('pins stand where they are told, also when the list is shorter', () => {
    const made = (name: string, score: number) => ({ score, product: { categories: [name], brand: null } })
    const [a, b, pin] = [made('a', 2), made('b', 1), made('pin', 0)]
    expect(arranged([a, b, pin], { first: 3, diversity: 0, pins: new Map([[0, pin]]) }).taken).toEqual([pin, a, b])
    expect(arranged([a, b, pin], { first: 9, diversity: 0, pins: new Map([[7, pin]]) }).taken).toEqual([a, b, pin])
  })
})

const product = (facts: Partial<Steerable> = {}): Steerable => ({
  key: 1,
  externalId: 'x',
  title: 'X',
  categories: [],
  brand: null,
  stock: null,
  stub: false,
  price: null,
  marginShare: null,
  attributes: {},
  ...facts,
})

describe('rules', () => {
  test('survive being stored, and what an earlier version did not know has its default', () => {
    const rules = { ...NO_RULES, boosts: [{ name: 'b', where: { priceMinMicros: 9_000_000_000_000_001n }, factor: 2 }] }
    expect(rulesFromJson(JSON.parse(rulesToJson(rules)))).toEqual(rules)
    expect(rulesFromJson({})).toEqual(NO_RULES)
  })

  test('the strongest effect bounds every one', () => {
    const rules = {
      ...NO_RULES,
      marginWeight: 2,
      boosts: [
        { name: 'a', where: { brand: 'a' }, factor: 3 },
        { name: 'b', where: { category: 'c' }, factor: 0.5 },
      ],
    }
    const { strongest, effectsOn } = compileEffects(rules)
    const of = (each: Steerable) => effectsOn(each, 0).reduce((all, { factor }) => all * factor, 1)
    expect(strongest).toBe(9)
    expect(of(product({ brand: 'a', marginShare: 1 }))).toBe(9)
    expect(of(product({ brand: 'a', marginShare: 0.5, categories: ['c'] }))).toBe(3)
    expect(of(product())).toBe(1)
  })

  test('a cap may be of every brand or of one', () => {
    const [a, b] = [product({ brand: 'a' }), product({ brand: 'b' })]
    const every = compileCaps([{ by: 'BRAND', value: null, most: 1 }])
    const one = compileCaps([{ by: 'BRAND', value: 'a', most: 0 }])
    expect(every?.(a, [a])).toBe('cap: at most 1 of brand a')
    expect(every?.(b, [a])).toBeUndefined()
    expect(one?.(a, [])).toBe('cap: at most 0 of brand a')
    expect(one?.(b, [b, b])).toBeUndefined()
    expect(compileCaps([])).toBeUndefined()
  })

  test('the filter that nothing passes is blamed, else the one at which the last product went, and none while something passes', () => {
    const tests = compileFilters({ filters: ['a', 'b', 'c'].map(brand => ({ name: brand, where: { brand } })) }, undefined)
    const blamed = (products: number, alone: number[], together: number[]) => {
      const found = emptiedBy(tests, { products, alone, together })
      return found && `${found.filter.cause}${found.why}`
    }
    expect(blamed(9, [3, 0, 0], [3, 0, 0])).toBe('filter "b": none of the 9 products passes it')
    expect(blamed(9, [3, 4, 5], [3, 2, 0])).toBe('filter "c" of the 2 products that passed the filters before it')
    expect(blamed(9, [3, 4, 5], [3, 2, 1])).toBeUndefined()
    expect(blamed(0, [0, 0, 0], [0, 0, 0])).toBeUndefined()
  })
})

describe('exposure', () => {
  const shown = (facts: Partial<Shown>): Shown => ({
    categories: [],
    brand: null,
    price: null,
    currency: 'EUR',
    places: 0,
    attention: 0,
    impressions: 0,
    ...facts,
  })

  test('shares sum to one; a product of two categories counts half in each', () => {
    const products = [
      shown({ categories: ['a', 'b'], brand: 'x', places: 3, attention: 2 }),
      shown({ categories: ['a'], places: 1, attention: 1, impressions: 4 }),
      shown({ categories: [] }),
    ]
    const categories = byCategory(products)
    expect(categories).toEqual([
      { key: 'a', places: 2.5, share: 0.625, attentionShare: 2 / 3, catalogueShare: 0.5, impressionShare: 1 },
      { key: 'b', places: 1.5, share: 0.375, attentionShare: 1 / 3, catalogueShare: expect.closeTo(1 / 6, 12), impressionShare: 0 },
      { key: '(none)', places: 0, share: 0, attentionShare: 0, catalogueShare: expect.closeTo(1 / 3, 12), impressionShare: 0 },
    ])
    expect(byBrand(products).map(({ key }) => key)).toEqual(['x', '(none)'])
  })

  test('price bands are fifths of the catalogue, cheapest first, however few prices there are', () => {
    const bands = byPriceBand(Array.from({ length: 10 }, (_, at) => shown({ price: at + 1, places: at === 9 ? 1 : 0 })))
    expect(bands.map(({ catalogueShare }) => catalogueShare)).toEqual(Array(5).fill(0.2))
    expect(bands.map(({ key }) => key)).toEqual([
      'below 3.00 EUR',
      '3.00 to below 5.00 EUR',
      '5.00 to below 7.00 EUR',
      '7.00 to below 9.00 EUR',
      '9.00 and more EUR',
    ])
    expect(bands[4].share).toBe(1)
    expect(byPriceBand([shown({ price: 5 }), shown({})]).map(({ key }) => key)).toEqual(['5.00 and more EUR', '(none)'])
    expect(byPriceBand([])).toEqual([])
  })
})
