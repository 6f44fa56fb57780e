import type { Classifier, Contribution as Part } from '../algorithms/ctr/classifier.js'
import type { Contribution } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { FEATURES } from './features.js'
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

type Facts = Pick<ProfileRow, 'features' | 'eventCount'>
type Live = LiveModel<Classifier>

export const TASKS = { churn: 'CHURN', purchase: 'PURCHASE', lifetimeValue: 'LIFETIME_VALUE' } as const
/** What is said of a user counts as so many events of everybody's rate: somebody new is mostly like everybody. */
const PRIOR_EVENTS = 5
/** Share of the rows that a model was tested on, and how many groups of like probability they make; an interval is as wide as such a group's share is uncertain. */
const TEST_SHARE = 0.2
const GROUPS = 10
/** Standard deviations of a 90 % interval. */
const Z = 1.645

/** The models that score profiles: the live ones, or the baselines, whose answers say that they are still learning. */
export class ProfileModels {
  constructor(private readonly models: Pick<LiveModels, 'live' | 'baseline'>) {}

  isLive(prediction: Prediction): boolean {
    return this.models.live(TASKS[prediction]) !== undefined
  }

  score(rows: readonly ProfileRow[], _now: Date): ModelScores[] {
    const churn = this.probabilities('churn', rows)
    const purchase = this.probabilities('purchase', rows)
    return rows.map((_, index) => ({
      cluster: null,
      churn: churn[index],
      purchase: purchase[index],
      lifetimeValue: null,
      nextOrderAt: null,
    }))
  }

  /** Why a prediction is what it is: exact parts of the log-odds in plain words, and what was made of them. */
  explain(row: ProfileRow, prediction: Prediction, value: number): Explanation {
    const model = this.serving(prediction)
    if (!model || prediction === 'lifetimeValue') return { modelId: null, servedBy: 'nothing yet', contributions: [], rules: [] }
    const examples = examplesOf([row.features])
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

  private serving(prediction: Prediction): Live | undefined {
    return this.models.live<Classifier>(TASKS[prediction]) ?? this.models.baseline<Classifier>(TASKS[prediction])
  }

  private probabilities(prediction: 'churn' | 'purchase', rows: readonly Facts[]): (Estimate | null)[] {
    const model = this.serving(prediction)
    if (!model || rows.length === 0) return rows.map(() => null)
    const examples = examplesOf(rows.map(row => row.features))
    const rate = (this.models.baseline<Classifier>(TASKS[prediction]) ?? model).model.predict(
      examplesOf([rows[0].features.map(() => Number.NaN)]),
    )[0]
    const groupSize = (TEST_SHARE * (model.keys[0] ?? 0)) / GROUPS
    return Array.from(model.model.predict(examples), (p, index) => estimateOf(p, { rate, events: rows[index].eventCount, groupSize }))
  }
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
