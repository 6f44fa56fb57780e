import type { Contribution } from '../registry/decisions.js'
import type { Estimate, ProfileRow } from './profiles.repository.js'

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

/** The models that score profiles. */
export class ProfileModels {
  isLive(_prediction: Prediction): boolean {
    return false
  }

  score(rows: readonly ProfileRow[], _now: Date): ModelScores[] {
    return rows.map(() => ({ cluster: null, churn: null, purchase: null, lifetimeValue: null, nextOrderAt: null }))
  }

  explain(_row: ProfileRow, prediction: Prediction, value: number): Explanation {
    return { modelId: null, servedBy: 'nothing yet', contributions: [{ feature: prediction, value: 'score', weight: value }], rules: [] }
  }
}
