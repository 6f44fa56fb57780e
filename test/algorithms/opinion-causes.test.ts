import { describe, expect, test } from '@jest/globals'
import { type CauseSpike, causesOf } from '../../src/algorithms/text/opinion-causes.js'

const posts = (from: number, to: number) => new Set(Array.from({ length: to - from }, (_, at) => `post ${from + at}`))

function spike(given: Partial<CauseSpike>): CauseSpike {
  const of = given.posts ?? new Set<string>()
  return { breadth: 0, from: 0, to: 24, severity: 5, excess: of.size, expected: 10, count: of.size, posts: of, isTold: false, ...given }
}

describe('spikes of one cause', () => {
  test('a product stands for its category and its shop where the posts are its own', () => {
    const shop = spike({ breadth: 3, posts: posts(0, 100), excess: 35, expected: 70, severity: 9 })
    const category = spike({ breadth: 2, posts: posts(0, 50), excess: 33, expected: 20 })
    const product = spike({ posts: posts(0, 34), expected: 2 })
    expect([...causesOf([shop, category, product])]).toEqual([2, 2, 2])
  })

  test('a category stands for its products where each has its share', () => {
    const category = spike({ breadth: 2, posts: posts(0, 80), excess: 70, expected: 20 })
    const products = [0, 1, 2, 3].map(at => spike({ posts: posts(20 * at, 20 * at + 20), expected: 5 }))
    expect([...causesOf([...products, category])]).toEqual([4, 4, 4, 4, 4])
  })

  test('and not for one that has much more than its share', () => {
    const shop = spike({ breadth: 3, posts: posts(0, 200), excess: 150, expected: 100 })
    const product = spike({ posts: posts(0, 40), expected: 4 })
    expect([...causesOf([shop, product])]).toEqual([0, 1])
  })

  test('names of the same posts are one, the first of them; other times and other posts are others', () => {
    const one = spike({ breadth: 2, posts: posts(0, 30) })
    expect([...causesOf([one, { ...one }, { ...one, from: 48, to: 72 }, spike({ breadth: 2, posts: posts(50, 80) })])]).toEqual([
      0, 0, 2, 3,
    ])
  })

  test('what was told stays told, and stands for what comes to it', () => {
    const category = spike({ breadth: 2, posts: posts(0, 50), excess: 40, expected: 20, isTold: true })
    const product = spike({ posts: posts(0, 40), expected: 2 })
    expect([...causesOf([product, category])]).toEqual([1, 1])
    expect([...causesOf([{ ...product, isTold: true }, category])]).toEqual([0, 1])
  })

  test('samples of large sets tell the same', () => {
    const broad = spike({ breadth: 3, posts: posts(0, 100), count: 1_000, excess: 700, expected: 300 })
    expect([...causesOf([broad, spike({ posts: posts(0, 80), count: 800, expected: 10 })])]).toEqual([1, 1])
    expect([...causesOf([broad, spike({ posts: posts(0, 50), count: 500, expected: 10 })])]).toEqual([0, 1])
  })

  test('nothing is of nothing', () => expect([...causesOf([])]).toEqual([]))
})
