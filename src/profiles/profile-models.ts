import type { Classifier, Contribution as Part } from '../algorithms/ctr/classifier.js'
import type { Grouper } from '../algorithms/grouping/groups.js'
import { createRandom } from '../algorithms/math/random.js'
import type { Expectation, Valuer } from '../algorithms/value/estimators.js'
import type { Pool } from '../platform/pool.js'
import type { Contribution } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { peopleOf } from './cluster.task.js'
import { FEATURES } from './features.js'
import { customersOf, VALUE_DAYS } from './lifetime-value.task.js'
import type { Estimate, ProfileRow } from './profiles.repository.js'
import { examplesOf } from './propensity.task.js'

export type Prediction = 'churn' | 'purchase' | 'lifetimeValue'

/** What the models say of one profile; null where none can say anything. */
export interface ModelScores {
  cluster: string | null
  churn: Estimate | null
  purchase: Estimate | null
  /** Units of the account's currency. */
  lifetimeValue: Estimate | null
  nextOrderAt: Date | null
}

export interface Explanation {
  modelId: string | null
  servedBy: string
  contributions: Contribution[]
  rules: string[]
}

/** What scores are made from. */
export type ScoredFacts = Pick<ProfileRow, 'userId' | 'features' | 'eventCount' | 'orderDays' | 'categories'>

export const TASKS = { churn: 'CHURN', purchase: 'PURCHASE', lifetimeValue: 'LIFETIME_VALUE' } as const
const CLUSTER = 'CLUSTER'
/** What is said of a user counts as so many events of everybody's rate: somebody new is mostly like everybody. */
const PRIOR_EVENTS = 5
/** Share of the rows that a model was tested on, and how many groups of like probability they make; an interval is as wide as such a group's share is uncertain. */
const TEST_SHARE = 0.2
const GROUPS = 10
/** So many rows are scored where they are; more go to a worker thread. */
const FEW = 20
/** Standard deviations of a 90 % interval. */
const Z = 1.645

/** The models that score profiles: the live ones, or the baselines, whose answers say that they are still learning. */
export class ProfileModels {
  constructor(
    private readonly models: Pick<LiveModels, 'live' | 'baseline'>,
    private readonly pool?: Pool,
  ) {}

  isLive(prediction: Prediction): boolean {
    return this.models.live(TASKS[prediction]) !== undefined
  }

  /** Names what serves now: scores of another fingerprint are of other models. */
  fingerprint(): string {
    return [...Object.values(TASKS), CLUSTER]
      .map(task => `${task} ${this.models.live(task)?.modelId ?? this.models.baseline(task)?.servedBy ?? 'nothing'}`)
      .join(', ')
  }

  /** Many rows are scored in worker threads, a few at once. */
  async score(rows: readonly ScoredFacts[], now: Date): Promise<ModelScores[]> {
    const [churn, purchase, values, clusters] = await Promise.all([
      this.probabilities('churn', rows),
      this.probabilities('purchase', rows),
      this.values(rows),
      this.clusters(rows),
    ])
    return rows.map((_, index) => ({
      cluster: clusters[index],
      churn: churn[index],
      purchase: purchase[index],
      lifetimeValue: values[index] && estimateIn(values[index]),
      nextOrderAt: dateAfter(now, values[index]?.nextOrder),
    }))
  }

  /** Why a prediction is what it is: exact parts of the log-odds in plain words, and what was made of them. */
  explain(row: ProfileRow, prediction: Prediction, value: number): Explanation {
    if (prediction === 'lifetimeValue') return this.explainValue(row, value)
    const model = this.serving<Classifier>(prediction)
    if (!model) return NOTHING_YET
    const examples = examplesOf([row.features], model.model.fields)
    const said = model.model.predict(examples)[0]
    const rules = [`The parts are log-odds; together they give ${said.toFixed(4)}`]
    if (model.modelId && Math.abs(said - value) > 1e-6)
      rules.push(`Drawn towards everybody's rate, because only ${row.eventCount} events are known of the user: ${value.toFixed(4)}`)
    return {
      modelId: model.modelId,
      servedBy: model.servedBy,
      contributions: model.model.explain(examples, 0).map(part => contributionOf(part, row.features)),
      rules,
    }
  }

  /** The facts that the value rests on; a value is no sum, so they carry no weights but the value's. */
  private explainValue({ features, orderDays }: ProfileRow, value: number): Explanation {
    const model = this.serving<Valuer>('lifetimeValue')
    if (!model) return NOTHING_YET
    const facts = orderDays > 0 ? ['orderDays', 'recencyDays', 'firstOrderDays', 'averageOrderValue'] : []
    const contributions = facts.map(name => contributionOf({ kind: 'field', fields: [name], weight: 0 }, features))
    return {
      modelId: model.modelId,
      servedBy: model.servedBy,
      contributions: [{ feature: `expected within ${VALUE_DAYS} days`, value: 'score', weight: value }, ...contributions],
      rules: [
        orderDays > 0
          ? 'Orders to come times the value of one (BG/NBD and Gamma-Gamma), from the number of order days, the first, the last, and their mean value'
          : 'Never ordered so far: what such people spend on average',
      ],
    }
  }

  private serving<Model extends Classifier | Valuer>(prediction: Prediction): LiveModel<Model> | undefined {
    return this.models.live<Model>(TASKS[prediction]) ?? this.models.baseline<Model>(TASKS[prediction])
  }

  private async probabilities(prediction: 'churn' | 'purchase', rows: readonly ScoredFacts[]): Promise<(Estimate | null)[]> {
    const model = this.serving<Classifier>(prediction)
    if (!model || rows.length === 0) return rows.map(() => null)
    const examples = examplesOf(
      rows.map(row => row.features),
      model.model.fields,
    )
    const { model: everybody } = this.models.baseline<Classifier>(TASKS[prediction]) ?? model
    const rate = everybody.predict(examplesOf([[]], everybody.fields))[0]
    const groupSize = (TEST_SHARE * (model.keys[0] ?? 0)) / GROUPS
    const probabilities =
      this.pool && rows.length > FEW
        ? (
            await this.pool.run<{ probabilities: Float64Array }>({
              family: 'ctr',
              function: 'scoreAll',
              args: [{ algorithm: model.algorithm, artifact: model.model.save(), data: examples }],
            })
          ).result.probabilities
        : model.model.predict(examples)
    return Array.from(probabilities, (p, index) => estimateOf(p, { rate, events: rows[index].eventCount, groupSize }))
  }

  /** The live model of clusters, if one is approved. */
  grouper(): LiveModel<Grouper> | undefined {
    return this.models.live<Grouper>(CLUSTER)
  }

  /** Only an approved model puts people into clusters, and only those of whom anything is known. */
  private async clusters(rows: readonly ScoredFacts[]): Promise<(string | null)[]> {
    const live = this.grouper()
    if (!live || rows.length === 0) return rows.map(() => null)
    const data = peopleOf(rows, live.model.categories)
    const groups =
      this.pool && rows.length > FEW
        ? (
            await this.pool.run<{ groups: Int32Array }>({
              family: 'grouping',
              function: 'assignAll',
              args: [{ algorithm: live.algorithm, artifact: live.model.save(), data }],
            })
          ).result.groups
        : live.model.assign(data)
    return rows.map(({ eventCount }, index) => (eventCount > 0 ? live.model.groups[groups[index]].key : null))
  }

  private async values(rows: readonly ScoredFacts[]): Promise<(Expectation | null)[]> {
    const model = this.serving<Valuer>('lifetimeValue')
    if (!model) return rows.map(() => null)
    const places = rows.flatMap(({ orderDays }, index) => (orderDays > 0 ? [index] : []))
    const customers = customersOf(places.map(index => rows[index].features))
    const keys = Int32Array.from(places, index => rows[index].userId)
    const stranger = model.model.stranger(VALUE_DAYS)
    const found: Expectation[] = rows.map(() => stranger)
    if (this.pool && places.length > FEW) {
      const { result } = await this.pool.run<Record<keyof Expectation, Float64Array>>({
        family: 'value',
        function: 'expectAll',
        args: [{ algorithm: model.algorithm, artifact: model.model.save(), customers, keys, horizon: VALUE_DAYS }],
      })
      for (const [at, index] of places.entries())
        found[index] = { value: result.value[at], low: result.low[at], high: result.high[at], nextOrder: result.nextOrder[at] }
    } else
      for (const [at, index] of places.entries()) found[index] = model.model.customer(customers, at, VALUE_DAYS, createRandom(keys[at]))
    return found
  }
}

const NOTHING_YET: Explanation = { modelId: null, servedBy: 'nothing yet', contributions: [], rules: ['No model has been made yet'] }

function estimateIn({ value, low, high }: Expectation): Estimate {
  return { value, low: Number.isNaN(low) ? null : low, high: Number.isNaN(high) ? null : high }
}

/** Beyond ten years nobody plans. */
function dateAfter(now: Date, days: number | undefined): Date | null {
  return days !== undefined && days < 3_660 ? new Date(now.getTime() + days * 86_400_000) : null
}

/** The posterior mean of a rate that starts at everybody's, with a Wilson interval for the number of people that stand behind it. */
function estimateOf(p: number, { rate, events, groupSize }: { rate: number; events: number; groupSize: number }): Estimate {
  const trust = events / (events + PRIOR_EVENTS)
  const value = trust * p + (1 - trust) * rate
  const n = Math.max(1, groupSize * trust)
  const center = (value + (Z * Z) / (2 * n)) / (1 + (Z * Z) / n)
  const half = (Z / (1 + (Z * Z) / n)) * Math.sqrt((value * (1 - value)) / n + (Z * Z) / (4 * n * n))
  return { value, low: Math.max(0, Math.min(value, center - half)), high: Math.min(1, Math.max(value, center + half)) }
}

const BY_NAME = new Map(FEATURES.map((feature, index) => [feature.name, { feature, index }]))
const KINDS: Record<Part['kind'], string> = {
  bias: 'what holds for everybody',
  field: '',
  pair: '',
  calibration: 'calibration',
  sampling: 'correction for sampling',
}

function contributionOf({ kind, fields, weight }: Part, features: readonly number[]): Contribution {
  const known = fields.map(name => BY_NAME.get(name)).filter(each => each !== undefined)
  if (known.length === 0) return { feature: KINDS[kind], value: '', weight }
  const values = known.map(({ index }) => (Number.isNaN(features[index]) ? 'unknown' : String(Math.round(features[index] * 1000) / 1000)))
  return { feature: known.map(({ feature }) => feature.en).join(' and '), value: values.join(', '), weight }
}
