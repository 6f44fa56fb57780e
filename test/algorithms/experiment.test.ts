import { describe, expect, test } from '@jest/globals'
import { compare, estimate, type MetricSums, sampleRatio, snips, snipsOfLists } from '../../src/algorithms/evaluate/experiment.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { betaRegularised, gammaUpper, studentQuantile, studentTails } from '../../src/algorithms/math/special.js'
import { chanceAt, explored, firstProbabilities } from '../../src/algorithms/recommend/explore.js'

const sumsOf = (x: readonly number[], y: readonly number[] = x.map(() => 1)): MetricSums => {
  const total = (part: (at: number) => number) => x.reduce((sum, _, at) => sum + part(at), 0)
  return {
    users: x.length,
    x: total(at => x[at]),
    y: total(at => y[at]),
    xx: total(at => x[at] ** 2),
    yy: total(at => y[at] ** 2),
    xy: total(at => x[at] * y[at]),
  }
}

describe('as SciPy 1.x says', () => {
  test('the incomplete gamma and beta functions', () => {
    expect(gammaUpper(0.5, 3.2)).toBeCloseTo(0.01141203638600166, 12)
    expect(gammaUpper(4, 2.5)).toBeCloseTo(0.7575761331330662, 12)
    expect(gammaUpper(10, 30) / 7.121750862815593e-6).toBeCloseTo(1, 9)
    expect(betaRegularised(2.5, 0.5, 0.3)).toBeCloseTo(0.018927124071945658, 12)
    expect(betaRegularised(40, 0.5, 0.97)).toBeCloseTo(0.11967313713875004, 11)
    expect(betaRegularised(1, 1, 0.42)).toBeCloseTo(0.42, 14)
  })

  test("Student's t", () => {
    expect(studentTails(2.1, 7.3)).toBeCloseTo(0.0722467134248534, 11)
    expect(studentQuantile(0.05, 7.3)).toBeCloseTo(2.3450667365477034, 9)
    expect(studentQuantile(0.05, 1)).toBeCloseTo(12.706204736174705, 8)
    expect(studentQuantile(0.05, 1e6)).toBeCloseTo(1.9599663568141072, 7)
  })

  test('chi-square of a sample ratio', () => {
    const even = sampleRatio([5_120, 4_880], [0.5, 0.5])
    expect(even.chiSquare).toBeCloseTo(5.76, 10)
    expect(even.p).toBeCloseTo(0.01639507184919225, 12)
    expect(even.isMismatch).toBe(false)
    const broken = sampleRatio([335, 310, 355], [1, 1, 2])
    expect(broken.chiSquare).toBeCloseTo(85.35, 10)
    expect(broken.p / 2.9274061762911255e-19).toBeCloseTo(1, 6)
    expect(broken.isMismatch).toBe(true)
  })

  test("Welch's test and its interval", () => {
    const control = sumsOf([3.1, 2.4, 5.0, 4.2, 3.3, 2.9])
    const treatment = sumsOf([4.4, 5.1, 3.9, 6.2, 5.5, 4.7, 5.9])
    const found = compare(control, treatment, 100)
    expect(found?.difference).toBeCloseTo(1.6166666666666676, 10)
    expect(found?.p).toBeCloseTo(0.008691389369891153, 9)
    expect(found?.degrees).toBeCloseTo(10.066102487008992, 8)
    expect(found?.interval.low).toBeCloseTo(0.5082799920361909, 8)
    expect(found?.interval.high).toBeCloseTo(2.7250533412971443, 8)
    const reach = (found?.anytime.high ?? 0) - (found?.difference ?? 0)
    expect(reach).toBeCloseTo(1.808576511080632, 8)
  })

  test('a ratio by the delta method', () => {
    const found = estimate(sumsOf([1, 0, 2, 1, 0, 3], [4, 2, 5, 3, 1, 6]))
    expect(found?.value).toBeCloseTo(1 / 3, 12)
    expect(found?.error).toBeCloseTo(0.06955207079430681, 12)
    expect(found?.low).toBeCloseTo(0.15454404351859716, 9)
  })

  test('SNIPS with its effective sample size', () => {
    const found = snips([1, 0, 1, 1, 0, 0], [0, 2, 0.5, 1.5, 0, 1])
    expect(found.value).toBeCloseTo(0.4, 12)
    expect(found.low).toBeCloseTo(-0.11109607688496348, 8)
    expect(found.effectiveSize).toBeCloseTo(3.3333333333333335, 12)
    expect(found.meanWeight).toBeCloseTo(0.8333333333333334, 12)
  })
})

test('intervals cover the truth as often as they say, and those for any time also when looked at after every hundred users', () => {
  const random = createRandom(5)
  const [rate, worlds, looks] = [0.2, 200, 10]
  let [missed, peeked, peekedAnytime] = [0, 0, 0]
  for (let world = 0; world < worlds; world++) {
    const [a, b] = [sumsOf([]), sumsOf([])]
    const add = (sums: MetricSums) => {
      const x = random.next() < rate ? 1 : 0
      sums.users++
      sums.y++
      sums.yy++
      sums.x += x
      sums.xx += x
      sums.xy += x
    }
    const outside = { fixed: false, anytime: false }
    let last = false
    for (let look = 0; look < looks; look++) {
      for (let user = 0; user < 100; user++) {
        add(a)
        add(b)
      }
      const found = compare(a, b, 2_000)
      last = !found || found.interval.low > 0 || found.interval.high < 0
      if (last) outside.fixed = true
      if (!found || found.anytime.low > 0 || found.anytime.high < 0) outside.anytime = true
    }
    if (last) missed++
    if (outside.fixed) peeked++
    if (outside.anytime) peekedAnytime++
  }
  expect(missed / worlds).toBeLessThan(0.09)
  expect(peeked / worlds).toBeGreaterThan(0.1)
  expect(peekedAnytime / worlds).toBeLessThan(0.05)
})

test('SNIPS finds the worth of a policy that was never shown', () => {
  const random = createRandom(3)
  const worth = [0.1, 0.3, 0.6]
  const [logged, other] = [
    [0.6, 0.3, 0.1],
    [0.1, 0.2, 0.7],
  ]
  const rewards: number[] = []
  const weights: number[] = []
  for (let row = 0; row < 20_000; row++) {
    const draw = random.next()
    const action = draw < logged[0] ? 0 : draw < logged[0] + logged[1] ? 1 : 2
    rewards.push(random.next() < worth[action] ? 1 : 0)
    weights.push(other[action] / logged[action])
  }
  const found = snips(rewards, weights)
  const truth = worth.reduce((sum, value, action) => sum + value * other[action], 0)
  expect(found.low).toBeLessThan(truth)
  expect(found.high).toBeGreaterThan(truth)
  expect(found.high - found.low).toBeLessThan(0.06)
  expect(found.meanWeight).toBeCloseTo(1, 1)
  expect(found.effectiveSize).toBeLessThan(20_000)
})

describe('SNIPS of whole lists', () => {
  const scores = [5, 4, 3, 2, 1]
  const candidates = scores.map(score => ({ score }))
  const places = [0, 1, 2]
  // What an item earns depends on itself and its place.
  const worthOf = (item: number, place: number) => [0.1, 0.2, 0.5, 0.3, 0.6][item] / (1 + place)
  const logOf = (rows: number, seed: number, weightOf: (item: number, place: number) => number) => {
    const random = createRandom(seed)
    const [rewards, weights]: number[][][] = [[], []]
    for (let row = 0; row < rows; row++) {
      const { order, chances } = explored(candidates, 0.8, random)
      const shown = places.map(place => candidates.indexOf(order[place]))
      rewards.push(places.map(place => (random.next() < worthOf(shown[place], place) ? 1 : 0)))
      weights.push(places.map(place => weightOf(shown[place], place) / chances[place]))
    }
    return snipsOfLists(rewards, weights)
  }
  const truthOf = (chance: (item: number, place: number) => number) =>
    places.reduce((sum, place) => sum + scores.reduce((total, _, item) => total + chance(item, place) * worthOf(item, place), 0), 0)
  const other = firstProbabilities(scores, 0.3)
  const otherOf = (item: number, place: number) => chanceAt(other, item, place)

  test('finds the worth of a policy that was never shown, and its interval covers the truth as often as it says', () => {
    const truth = truthOf(otherOf)
    let covered = 0
    for (let world = 0; world < 100; world++) {
      const { low, high } = logOf(1_000, world + 1, otherOf)
      if (low <= truth && truth <= high) covered++
    }
    expect(covered).toBeGreaterThanOrEqual(89)
    const found = logOf(20_000, 7, otherOf)
    expect(found.value).toBeCloseTo(truth, 1)
    expect(found.high - found.low).toBeLessThan(0.06)
    expect(found.meanWeight).toBeCloseTo(1, 1)
    expect(found.effectiveSize).toBeLessThan(20_000)
    expect(found.effectiveSize).toBe(Math.min(...found.places.map(place => place.effectiveSize)))
    expect(found.logged).toBeCloseTo(
      truthOf((item, place) => chanceAt(firstProbabilities(scores, 0.8), item, place)),
      1,
    )
  })

  test('says where the log could not have shown what the policy would', () => {
    // The last item first, the others in reverse order behind it.
    const found = logOf(2_000, 3, (item, place) => Number(item === scores.length - 1 - place))
    expect(found.places.map(({ value }) => value === null)).toEqual([false, true, false])
    expect(found.meanWeight).toBeLessThan(0.8)
    expect(found.value).toBeCloseTo((found.places[0].value ?? 0) + (found.places[2].value ?? 0), 12)
  })

  test('lists of different lengths, none, and weights that are none', () => {
    const found = snipsOfLists([[1, 0], [0], []], [[1, 1], [3], []])
    expect(found.places.map(({ value, decisions }) => [value, decisions])).toEqual([
      [0.25, 2],
      [0, 1],
    ])
    expect(snipsOfLists([], [])).toMatchObject({ value: null, logged: null, effectiveSize: 0, places: [] })
    expect(() => snipsOfLists([[1]], [[-1]])).toThrow(RangeError)
    expect(() => snipsOfLists([[1]], [[1, 1]])).toThrow(RangeError)
  })
})

describe('what cannot be answered', () => {
  test('an arm of nobody or of one has no estimate', () => {
    expect(estimate(sumsOf([]))).toBeNull()
    expect(estimate(sumsOf([1]))).toBeNull()
    expect(estimate(sumsOf([0, 0], [0, 0]))).toBeNull()
    expect(compare(sumsOf([1]), sumsOf([1, 2]), 10)).toBeNull()
  })

  test('arms in which nothing varies are equal, or certainly not', () => {
    expect(compare(sumsOf([0, 0, 0]), sumsOf([0, 0, 0]), 10)).toMatchObject({ difference: 0, p: 1, lift: null })
    expect(compare(sumsOf([1, 1, 1]), sumsOf([2, 2, 2]), 10)).toMatchObject({ difference: 1, p: 0, lift: { value: 1 } })
  })

  test('a log without any action of the policy, or with weights that are none', () => {
    expect(snips([1, 0], [0, 0])).toMatchObject({ value: null, effectiveSize: 0 })
    expect(snips([], [])).toMatchObject({ value: null })
    expect(() => snips([1], [-1])).toThrow(RangeError)
    expect(() => snips([1], [Number.NaN])).toThrow(RangeError)
    expect(() => snips([1], [1, 2])).toThrow(RangeError)
  })

  test('a sample ratio of one arm or of no share; of nobody nothing is wrong', () => {
    expect(() => sampleRatio([5], [1])).toThrow(RangeError)
    expect(() => sampleRatio([5, 5], [1, 0])).toThrow(RangeError)
    expect(sampleRatio([0, 0], [1, 1])).toMatchObject({ p: 1, isMismatch: false })
  })
})
