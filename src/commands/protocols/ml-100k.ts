import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fnv1a } from '../../algorithms/math/random.js'
import type { Content } from '../../algorithms/recommend/content.js'
import { chosen } from '../../algorithms/recommend/hold-out.js'
import type { Interactions } from '../../algorithms/recommend/recommender.js'
import { measured, type Protocol, ProtocolError } from './protocol.js'
import { meanOverSplits, type RatingFold, ratingMethods, type TopN, topNMethods } from './recommend.js'

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
      each.name === 'user-cf' || each.name === 'item-cf'
        ? { ...each, name: `${each.name}-significance` }
        : each.name === 'hybrid'
          ? { ...each, name: 'rating-hybrid' }
          : each,
    )
    const settings = { ials: { factors: 128 }, hybrid: { 'ials.factors': 128 } }
    const rankers = topNMethods({ settings })
    const all = [...predictors, ...rankers].map(each => each.name)
    const unknown = methods?.filter(name => !all.includes(name)) ?? []
    if (unknown.length > 0)
      throw new ProtocolError(`ml-100k has no method ${unknown.join(', ')}; there are ${[...new Set(all)].join(', ')}`)
    const only = (names: readonly { name: string }[]) => methods?.filter(name => names.some(each => each.name === name))
    yield* measured('ml-100k', predictors, foldsOf(numbersIn(data, 'u.data', 4)), only(predictors), 'rating')
    yield* measured('ml-100k', rankers, topNOf(data), only(rankers), 'top-n')
    // As in the reference, similarities are shrunken here and not on MCRec's split.
    const described = topNMethods({ settings, search: ['item-cf'] }).filter(({ name }) => DESCRIBED.includes(name))
    const folds = describedFolds(data)
    yield* measured('ml-100k', meanOverSplits(described), folds.map(warm), only(described), 'top-n-folds')
    yield* measured('ml-100k', meanOverSplits(described), folds.map(cold), only(described), 'cold-start')
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

function topNOf(data: string): TopN {
  const train = interactions(
    numbersIn(data, 'mcrec.train.rating', 3).map(([user, item]) => [user, item, 1, 0]),
    'implicit',
  )
  const relevant = new Map(
    numbersIn(data, 'mcrec.test.rating', 2).map(([user, ...items]) => [user - 1, new Set(items.map(item => item - 1))]),
  )
  return { train, relevant }
}

/** Methods that are compared where it is known what the films are. */
const DESCRIBED = ['popularity', 'item-cf', 'content', 'ease', 'hybrid']

interface DescribedFold {
  train: Interactions
  test: Interactions
}

/** The official folds, every rating a positive, with what the films are; the ids of MCRec's split are others, so it cannot have that. */
function describedFolds(data: string): DescribedFold[] {
  const content = contentOf(data)
  return foldsOf(numbersIn(data, 'u.data', 4)).map(({ train, test }) => {
    const votes = train.values.map(() => 1)
    return {
      train: { ...train, values: votes, kind: 'implicit', content, times: new Float64Array(votes.length) },
      test: { ...train, users: test.users, items: test.items, values: new Float32Array(test.items.length).fill(1) },
    }
  })
}

function warm({ train, test }: DescribedFold): TopN {
  return { train, relevant: setsOf(test, () => true) }
}

/** A tenth of the films, by the hash of their number, is held out of training entirely and ranked among itself. */
function cold({ train, test }: DescribedFold): TopN {
  const candidates = Uint8Array.from({ length: ITEMS }, (_, item) => (fnv1a(String(item + 1)) % 10 === 0 ? 1 : 0))
  const places = Array.from(train.items.keys())
  return {
    train: chosen(
      train,
      places.filter(at => !candidates[train.items[at]]),
    ),
    relevant: setsOf(test, item => candidates[item] === 1),
    candidates,
  }
}

function setsOf({ users, items }: Interactions, passes: (item: number) => boolean): Map<number, Set<number>> {
  const sets = new Map<number, Set<number>>()
  for (let at = 0; at < items.length; at++) if (passes(items[at])) sets.set(users[at], (sets.get(users[at]) ?? new Set()).add(items[at]))
  return sets
}

/** Titles, genres as categories, and the half-decade as an attribute. */
function contentOf(data: string): Content {
  const titles = Array.from({ length: ITEMS }, () => '')
  const categories = Array.from({ length: ITEMS }, () => [] as string[])
  const attributes = Array.from({ length: ITEMS }, () => [] as string[])
  for (const line of readFileSync(existing(data, 'ml-100k.item'), 'utf8').trimEnd().split('\n').slice(1)) {
    const [number, title, year, genres] = line.split('\t')
    const item = Number(number) - 1
    titles[item] = title
    categories[item] = genres.trim().split(' ')
    attributes[item] = [`years=${Math.floor((Number(year) || 1990) / 5)}`]
  }
  return { titles, categories, attributes }
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
  const file = existing(folder, name)
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

function existing(folder: string, name: string): string {
  const file = join(folder, name)
  if (!existsSync(file)) throw new ProtocolError(`The data is absent: there is no ${file}. Give its folder by --data`)
  return file
}
