import { describe, expect, test } from '@jest/globals'
import { reviewsOf } from '../../prisma/seed/words.js'
import { CATEGORIES, createWorld } from '../../prisma/seed/world.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { normalQuantile } from '../../src/algorithms/math/special.js'
import { detectSpikes } from '../../src/algorithms/text/opinion.js'
import { rareSurges } from '../../src/algorithms/text/rare-surge.js'

test.each([
  [0.5, 0],
  [0.975, 1.959963984540054],
  [0.001, -3.090232306167813],
  [1e-10, -6.361340902404056],
])('the normal quantile of %d is %d', (p, z) => expect(normalQuantile(p)).toBeCloseTo(z, 7))

describe('a rare surge', () => {
  test('is as surprising as the exact Poisson tail says, when the rate is known well', () => {
    // One a step on 56 steps, then six: P(X > 6) + P(X = 6)/2 of a Poisson of mean 56.5/56 with the uncertainty of 56 steps is about 3.7e-4.
    const counts = [...Array(60).fill(1), 6]
    const z = rareSurges(counts, { limit: 9, warmUp: 14 })[60]
    expect(z).toBeGreaterThan(3.2)
    expect(z).toBeLessThan(3.5)
  })

  test('is none for fewer than four, before the warm-up, or where counts are no rare ones', () => {
    expect(Math.max(...rareSurges([...Array(60).fill(0), 3], { limit: 3, warmUp: 14 }))).toBe(0)
    expect(Math.max(...rareSurges([0, 0, 0, 0, 0, 0, 0, 0, 9], { limit: 3, warmUp: 14 }))).toBe(0)
    expect(Math.max(...rareSurges([...Array(60).fill(40), 90], { limit: 3, warmUp: 14 }))).toBe(0)
    expect(rareSurges([], { limit: 3, warmUp: 14 })).toHaveLength(0)
  })

  test('does not teach that surges are usual', () => {
    const z = rareSurges([...Array(60).fill(0), 5, 5, 5, 5, 5, 5], { limit: 2.7, warmUp: 14 })
    expect(Math.min(...z.slice(60))).toBeGreaterThan(2.7)
  })

  test('comes seldom to a stream of pure chance', () => {
    const random = createRandom(3)
    const counts = Array.from({ length: 20_000 }, () => {
      let [count, product] = [0, random.next()]
      while (product > Math.exp(-0.5)) {
        product *= random.next()
        count++
      }
      return count
    })
    // P(Z > 3.3) is 5e-4; two spans are looked at.
    const share = rareSurges(counts, { limit: 3.3, warmUp: 56 }).filter(z => z > 3.3).length / counts.length
    expect(share).toBeLessThan(1e-3)
    expect(share).toBeGreaterThan(1e-5)
  })
})

test('over ten demo shops every planted crisis of three standard deviations and more is found within two days; false alarms are fewer than one in 90 days', () => {
  const day = 86_400_000
  const now = new Date('2026-11-25T07:00:00Z')
  const first = Math.floor(now.getTime() / day) - 365
  let [planted, found, falseAlarms] = [0, 0, 0]
  for (let seed = 1; seed <= 10; seed++) {
    const world = createWorld(seed)
    const series = CATEGORIES.map(() => ({ total: new Int32Array(366), negative: new Int32Array(366) }))
    for (const { product, sentiment, at } of reviewsOf(world, now)) {
      const step = Math.floor(at / day) - first
      series[product.category].total[step]++
      if (sentiment === 'negative') series[product.category].negative[step]++
    }
    series.forEach((counts, category) => {
      const spikes = detectSpikes({ ...counts, period: 7 }, { fewest: 3, mergeWithin: 1, quiet: 3, rareLimit: 2.7, warmUp: 28 })
      const own = world.crises.filter(crisis => crisis.category === category).map(({ daysAgo, sigma }) => ({ start: 365 - daysAgo, sigma }))
      for (const { start, sigma } of own) {
        if (sigma < 3) continue
        planted++
        found += Number(spikes.some(spike => spike.start === start || spike.start === start + 1))
      }
      falseAlarms += spikes.filter(spike => !own.some(({ start }) => spike.start >= start && spike.start <= start + 3)).length
    })
  }
  expect(planted).toBe(80)
  expect(found).toBe(80)
  expect(falseAlarms / ((10 * 337) / 90)).toBeLessThan(1)
})
