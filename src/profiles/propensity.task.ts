import type { Params } from '../algorithms/algorithm.js'
import { baseRate } from '../algorithms/ctr/base-rate.js'
import { boostedTrees } from '../algorithms/ctr/boosted-trees.js'
import type { Classifier, ClassifierAlgorithm } from '../algorithms/ctr/classifier.js'
import type { Examples, Fields } from '../algorithms/ctr/examples.js'
import { logisticL2 } from '../algorithms/ctr/logistic-l2.js'
import { fnv1a } from '../algorithms/math/random.js'
import type { Task } from '../registry/task.js'
import { FEATURE_NAMES } from './features.js'
import type { ProfileHistory } from './history.js'

/** Models see the features of profiles as numbers, in their order. */
export const FIELDS: Fields = { numbers: FEATURE_NAMES, words: [] }
/** How far the predictions look ahead. */
export const HORIZON_DAYS = 30
/** Training looks back from so many moments, each a horizon before the next. */
const CUTS = 3
/** Who was silent longer than this had left before; learning from them would teach nothing but silence. */
const GONE_DAYS = 180
const SILENT = FEATURE_NAMES.indexOf('silentDays')
const DAY_MS = 86_400_000

/**
 * People are few, what they do is mostly chance, and most features say little of either outcome: small trees on coarse codes learn less of the chance (of churn,
 * sums of single features). Chosen on six worlds of the demo shop, by five folds and by the trainer's split.
 */
const SMALL_TREES = {
  CHURN: { trees: 150, depth: 1, leaves: 2, codes: 8 },
  PURCHASE: { trees: 160, depth: 2, leaves: 3, codes: 16 },
} as const

function algorithmsOf(name: keyof typeof SMALL_TREES): readonly ClassifierAlgorithm[] {
  const growth: Params = { rate: 0.03, minimumHessian: 20, rowShare: 1, columnShare: 0.3, ...SMALL_TREES[name] }
  return [baseRate, withParams(logisticL2, { calibration: 'platt' }), withParams(boostedTrees, { calibration: 'platt', ...growth })]
}

const OUTCOMES = {
  /** Not seen again within the horizon. */
  CHURN: (later: { events: number }) => later.events === 0,
  /** Orders within the horizon. */
  PURCHASE: (later: { orders: number }) => later.orders > 0,
} as const

/**
 * What people will do within 30 days, learned from what they did: the features as they were at moments of the past (by the same statement that serves), and
 * what followed. Moments count back from the newest event, so that a shop that brings an old log can learn from it.
 */
export function propensityTask(name: keyof typeof OUTCOMES, history: ProfileHistory): Task<Examples, Classifier> {
  return {
    name,
    family: 'ctr',
    algorithms: algorithmsOf(name),
    primary: { metric: 'auc', higherIsBetter: true },
    minimumRows: 200,
    load: async now => {
      const { from, to } = await history.span(now)
      const columns = { numbers: [] as Float32Array[], labels: [] as number[], times: [] as number[] }
      for (let step = CUTS; step >= 1 && from && to; step--) {
        const cut = new Date(to.getTime() - step * HORIZON_DAYS * DAY_MS)
        if (cut.getTime() - from.getTime() < HORIZON_DAYS * DAY_MS) continue
        const rows = (await history.at(cut, HORIZON_DAYS)).filter(({ features }) => features[SILENT] <= GONE_DAYS)
        // Within a moment rows come in an order of chance, so that a part of them is a fair sample.
        for (const { user, features, later } of rows.sort((a, b) => place(a.user) - place(b.user))) {
          columns.numbers.push(Float32Array.from(features))
          columns.labels.push(Number(OUTCOMES[name](later)))
          columns.times.push(cut.getTime() + place(user) / 1_000)
        }
      }
      const rows = columns.labels.length
      const data: Examples = {
        fields: FIELDS,
        rows,
        numbers: flat(columns.numbers),
        words: new Uint32Array(0),
        labels: Uint8Array.from(columns.labels),
        times: Float64Array.from(columns.times),
      }
      // There are no items to name; the one number tells how many rows the model rests on.
      const facts = { data, from, to, keys: Int32Array.of(rows), notes: await history.leftOut() }
      return rows > 0 && oneClassOnly(data) ? { ...facts, rows: 0, reason: sameForAll(name, rows, data.labels[0]) } : { ...facts, rows }
    },
  }
}

/** Rows of profiles as a model reads them: by name, so that one that was taught before features were added goes on. */
export function examplesOf(features: readonly (readonly number[])[], fields = FIELDS): Examples {
  const places = fields.numbers.map(name => FEATURE_NAMES.indexOf(name))
  const numbers = flat(features.map(row => places.map(place => row[place] ?? Number.NaN)))
  return { fields, rows: features.length, numbers, words: new Uint32Array(0), labels: new Uint8Array(0) }
}

/** Where everybody does the same there is nothing to tell apart; the base rate says all. */
function oneClassOnly({ labels }: Examples): boolean {
  return labels.every(label => label === labels[0])
}

function sameForAll(name: keyof typeof OUTCOMES, rows: number, label: number): string {
  const what = { CHURN: ['was seen again', 'was not seen again'], PURCHASE: ['ordered nothing', 'ordered'] }[name][label]
  return `${name} cannot be learned: everybody in ${rows} rows ${what} within ${HORIZON_DAYS} days, so there is nothing to tell apart; the base rate answers`
}

function flat(rows: readonly ArrayLike<number>[]): Float32Array {
  const width = rows[0]?.length ?? 0
  const numbers = new Float32Array(rows.length * width)
  rows.forEach((row, index) => {
    numbers.set(row, index * width)
  })
  return numbers
}

function place(user: number): number {
  return fnv1a(String(user)) % 1_000_000
}

function withParams(algorithm: ClassifierAlgorithm, params: Params): ClassifierAlgorithm {
  return { ...algorithm, defaults: { ...algorithm.defaults, ...params } }
}
