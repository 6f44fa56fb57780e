import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Interactions } from '../../algorithms/recommend/recommender.js'
import { measured, type Protocol, ProtocolError } from './protocol.js'
import { type RatingFold, ratingMethods, topNMethods } from './recommend.js'

const USERS = 943
const ITEMS = 1682
const FOLDS = 5
const DEFAULT = '../shared/data/ml-100k'

/** MovieLens 100K (Harper and Konstan 2015): rating prediction on the five official folds, top-n on the fixed split of MCRec. */
export const ml100k: Protocol = {
  name: 'ml-100k',
  about: 'MovieLens 100K: rating prediction on the official folds, and top-n on a fixed split',
  run: function* ({ data = DEFAULT, methods }) {
    // One name means one thing: the weighted neighbours of rating prediction are called so here.
    const predictors = ratingMethods.map(each =>
      each.name === 'user-cf' || each.name === 'item-cf' ? { ...each, name: `${each.name}-significance` } : each,
    )
    const all = [...predictors, ...topNMethods].map(each => each.name)
    const unknown = methods?.filter(name => !all.includes(name)) ?? []
    if (unknown.length > 0)
      throw new ProtocolError(`ml-100k has no method ${unknown.join(', ')}; there are ${[...new Set(all)].join(', ')}`)
    const only = (names: readonly { name: string }[]) => methods?.filter(name => names.some(each => each.name === name))
    yield* measured('ml-100k', predictors, foldsOf(numbersIn(data, 'u.data', 4)), only(predictors), 'rating')
    yield* measured('ml-100k', topNMethods, topNOf(data), only(topNMethods), 'top-n')
  },
}

function foldsOf(rows: number[][]): RatingFold[] {
  const size = Math.ceil(rows.length / FOLDS)
  return Array.from({ length: FOLDS }, (_, fold) => {
    const isTest = (at: number) => Math.floor(at / size) === fold
    const train = rows.filter((_, at) => !isTest(at))
    const test = rows.filter((_, at) => isTest(at))
    return {
      train: interactions(train, 'explicit'),
      test: {
        users: Int32Array.from(test, row => row[0] - 1),
        items: Int32Array.from(test, row => row[1] - 1),
        values: Float64Array.from(test, row => row[2]),
      },
      scale: [1, 5] as const,
    }
  })
}

function topNOf(data: string) {
  const train = interactions(
    numbersIn(data, 'mcrec.train.rating', 3).map(([user, item]) => [user, item, 1, 0]),
    'implicit',
  )
  const relevant = new Map(
    numbersIn(data, 'mcrec.test.rating', 2).map(([user, ...items]) => [user - 1, new Set(items.map(item => item - 1))]),
  )
  return { train, relevant }
}

function interactions(rows: number[][], kind: Interactions['kind']): Interactions {
  return {
    userCount: USERS,
    itemCount: ITEMS,
    users: Int32Array.from(rows, row => row[0] - 1),
    items: Int32Array.from(rows, row => row[1] - 1),
    values: Float32Array.from(rows, row => row[2]),
    times: Float64Array.from(rows, row => (row[3] ?? 0) * 1000),
    kind,
    now: 0,
  }
}

function numbersIn(folder: string, name: string, least: number): number[][] {
  const file = join(folder, name)
  if (!existsSync(file)) throw new ProtocolError(`The data is absent: there is no ${file}. Give its folder by --data`)
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line, at) => {
    const numbers = line.trim().split(/\s+/).map(Number)
    const isFaulty =
      numbers.length < least ||
      numbers.some(number => !Number.isFinite(number)) ||
      !(numbers[0] >= 1 && numbers[0] <= USERS) ||
      !(numbers[1] >= 1 && numbers[1] <= ITEMS)
    if (isFaulty) throw new ProtocolError(`${file} line ${at + 1} is not what MovieLens 100K holds: ${line.slice(0, 80)}`)
    return numbers
  })
}
