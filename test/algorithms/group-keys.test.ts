import { expect, test } from '@jest/globals'
import { kMeansGroups } from '../../src/algorithms/grouping/groups.js'
import { driftNow, fitAndEvaluate } from '../../src/algorithms/grouping/index.js'
import { keysOf } from '../../src/algorithms/grouping/keys.js'
import { inCategories, type People } from '../../src/algorithms/grouping/people.js'
import { createRandom } from '../../src/algorithms/math/random.js'

const TASTES = ['Tea', 'Tents', 'Toys', 'Tiles', 'Tubs']

/** So many people of each taste, in an order of chance; a person likes one category most. */
function peopleWith(counts: Record<string, number>, seed: number, categories = TASTES): People & { taste: string[] } {
  const random = createRandom(seed)
  const taste = Object.entries(counts).flatMap(([name, count]) => new Array<string>(count).fill(name))
  for (let at = taste.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    ;[taste[at], taste[other]] = [taste[other], taste[at]]
  }
  const liking = taste.flatMap(own => categories.map(name => (name === own ? 30 + random.below(20) : random.below(4))))
  const rows = taste.length
  return {
    rows,
    features: [],
    numbers: new Float32Array(0),
    categories,
    liking: Float32Array.from(liking),
    rest: new Float32Array(rows),
    taste,
  }
}

function learn(people: People, seed: number) {
  return kMeansGroups.fit(people, kMeansGroups.defaults, createRandom(seed))
}

/** The key under which most of a taste are found. */
function keyOf(people: ReturnType<typeof peopleWith>, model: ReturnType<typeof learn>, taste: string): string {
  const keys = [...model.assign(people)].filter((_, row) => people.taste[row] === taste).map(group => model.groups[group].key)
  const times = (key: string) => keys.filter(each => each === key).length
  return [...new Set(keys)].sort((a, b) => times(b) - times(a))[0]
}

test('a group that holds the same people keeps its key, though sizes, order, seed and categories have changed', () => {
  const first = peopleWith({ Tea: 120, Tents: 80, Toys: 50 }, 1)
  const old = learn(first, 1)
  expect(old.groups.map(({ key, overlap }) => [key, overlap])).toEqual([
    ['c1', null],
    ['c2', null],
    ['c3', null],
  ])
  expect(keyOf(first, old, 'Tea')).toBe('c1')
  // The smallest is the largest now, and categories come in another order, so the numbers of k-means are others.
  const later = peopleWith({ Tea: 60, Tents: 90, Toys: 200 }, 7, [...TASTES].reverse())
  const model = learn({ ...later, before: { artifact: old.save(), highest: old.highestKey } }, 9)
  expect(model.groups[0].en).toBe('Loves Toys')
  for (const taste of ['Tea', 'Tents', 'Toys']) expect(keyOf(later, model, taste)).toBe(keyOf(first, old, taste))
  expect(model.groups.every(({ overlap }) => overlap !== null && overlap > 0.95)).toBe(true)
  expect([model.highestKey, model.ended]).toEqual([3, []])
  const loaded = kMeansGroups.load(model.save())
  expect([loaded.groups, loaded.highestKey]).toEqual([model.groups, 3])
})

test('a group that ends takes its key along, a new one gets a number that nobody had', () => {
  const first = peopleWith({ Tea: 120, Tents: 80, Toys: 50 }, 1)
  const old = learn(first, 1)
  const later = peopleWith({ Tea: 100, Tiles: 90, Toys: 60 }, 2)
  const before = { artifact: old.save(), highest: old.highestKey }
  const model = learn({ ...later, before }, 2)
  const gone = keyOf(first, old, 'Tents')
  expect(keyOf(later, model, 'Tea')).toBe(keyOf(first, old, 'Tea'))
  expect(keyOf(later, model, 'Toys')).toBe(keyOf(first, old, 'Toys'))
  expect(keyOf(later, model, 'Tiles')).toBe('c4')
  expect([model.highestKey, model.ended]).toEqual([4, [gone]])
  const { notes, metrics } = fitAndEvaluate({
    algorithm: 'k-means',
    params: { ...kMeansGroups.defaults },
    seed: 2,
    data: { ...later, before },
  })
  expect(notes).toEqual([
    expect.stringMatching(new RegExp(`go on: c\\d \\(overlap [\\d.]+\\), c\\d \\(overlap [\\d.]+\\); new: c4; ended: ${gone}$`)),
  ])
  expect(metrics.highestKey).toBe(4)
  // The third model does not bring an ended key back, even for those who had it.
  const third = peopleWith({ Tea: 100, Tents: 90, Toys: 60, Tiles: 70 }, 3)
  const newest = learn({ ...third, before: { artifact: model.save(), highest: 4 } }, 3)
  expect(keyOf(third, newest, 'Tents')).toBe('c5')
  expect(keyOf(third, newest, 'Tiles')).toBe('c4')
  // Models that never served have used numbers up too.
  expect(learn({ ...later, before: { highest: 11 } }, 2).groups.map(({ key }) => key)).toEqual(['c12', 'c13', 'c14'])
})

test('newcomers who outnumber the group nearest to them do not take its key', () => {
  const first = peopleWith({ Tea: 60, Tents: 50, Toys: 40 }, 1)
  const old = learn(first, 1)
  const later = peopleWith({ Tea: 60, Tents: 50, Toys: 40, Tiles: 150, Tubs: 150 }, 5)
  const strangers = old.recognise(later).filter((group, row) => group < 0 && ['Tiles', 'Tubs'].includes(later.taste[row]))
  expect(strangers.length).toBe(300)
  const model = learn({ ...later, before: { artifact: old.save(), highest: 3 } }, 5)
  for (const taste of ['Tea', 'Tents', 'Toys']) expect(keyOf(later, model, taste)).toBe(keyOf(first, old, taste))
  expect([keyOf(later, model, 'Tiles'), keyOf(later, model, 'Tubs')].sort()).toEqual(['c4', 'c5'])
})

test('halves of a group are new groups; a group that lost a few is the old one; nobody is no evidence', () => {
  const then = Int32Array.from({ length: 100 }, (_, row) => (row < 60 ? 0 : 1))
  const halves = Int32Array.from(then, (group, row) => (group === 1 ? 0 : row < 30 ? 1 : 2))
  expect(keysOf(['c1', 'c2'], 3, { highest: 2, labels: halves, were: then })).toEqual({
    own: [
      { key: 'c2', overlap: 1 },
      { key: 'c3', overlap: null },
      { key: 'c4', overlap: null },
    ],
    highest: 4,
    ended: ['c1'],
  })
  const most = Int32Array.from(then, (group, row) => (group === 1 || row < 15 ? 1 : 0))
  expect(keysOf(['c1', 'c2'], 2, { highest: 2, labels: most, were: then }).own).toEqual([
    { key: 'c1', overlap: 45 / 60 },
    { key: 'c2', overlap: 40 / 55 },
  ])
  expect(keysOf(['c1'], 2, { highest: 1 })).toEqual({
    own: [
      { key: 'c2', overlap: null },
      { key: 'c3', overlap: null },
    ],
    highest: 3,
    ended: ['c1'],
  })
  // Strangers make a group another one, but do not make it theirs.
  const strangers = Int32Array.from(then, group => (group === 1 ? -1 : 0))
  expect(keysOf(['c1', 'c2'], 2, { highest: 2, labels: then, were: strangers }).own.map(({ key }) => key)).toEqual(['c1', 'c3'])
  expect(() => keysOf(['c1'], 1, { labels: Int32Array.of(0) })).toThrow(RangeError)
})

test('people by other categories lose no liking', () => {
  const people = peopleWith({ Tea: 2, Tents: 1 }, 1, ['Tea', 'Tents', 'Toys'])
  const seen = inCategories(people, ['Toys', 'Tubs', 'Tea'])
  for (let row = 0; row < 3; row++) {
    const [tea, tents, toys] = people.liking.subarray(row * 3, row * 3 + 3)
    expect([...seen.liking.subarray(row * 3, row * 3 + 3), seen.rest[row]]).toEqual([toys, 0, tea, tents])
  }
  expect(people.rest).toEqual(new Float32Array(3))
})

test('a cluster that empties has no drift of its own, and the others are still measured', () => {
  const first = peopleWith({ Tea: 120, Tents: 80, Toys: 50 }, 1)
  const old = learn(first, 1)
  const left = peopleWith({ Tea: 60, Tents: 60 }, 4)
  const { drift, drifts } = driftNow({ algorithm: 'k-means', artifact: old.save(), data: left })
  const emptied = old.groups.findIndex(({ key }) => key === keyOf(first, old, 'Toys'))
  expect([...drifts].map(Number.isNaN)).toEqual([0, 1, 2].map(group => group === emptied))
  expect(drift).toBeCloseTo(
    drifts.reduce((sum, each) => sum + (Number.isNaN(each) ? 0 : each / 2), 0),
    10,
  )
  expect(
    driftNow({
      algorithm: 'k-means',
      artifact: old.save(),
      data: { ...left, rows: 0, liking: new Float32Array(0), rest: new Float32Array(0) },
    }).drift,
  ).toBe(0)
})
