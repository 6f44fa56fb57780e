import { encodeId } from '../graphql/node-id.js'
import { EstimateState, type Score } from '../graphql/score.js'
import type { Decisions } from '../registry/decisions.js'
import type { Prediction, ProfileModels } from './profile-models.js'
import type { ProfileRow } from './profiles.repository.js'

const LEVEL = 0.9
/** A user of fewer events is new: what is said of him is mostly what is true of everybody. */
const FEW_EVENTS = 5
const STALE_DAYS = 7
const DAY_MS = 86_400_000

/** A score whose decision is written only when a client asks for its id. */
type LazyScore = Omit<Score, 'decisionId'> & { decisionId: () => Promise<string | null> }

/** Predictions of a profile as every learned number is shown: with interval, sample size and state, and ready to be asked why. */
export class ProfileScoreService {
  constructor(
    private readonly models: ProfileModels,
    private readonly decisions: Pick<Decisions, 'record'>,
    private readonly now: () => Date = () => new Date(),
  ) {}

  churn(row: ProfileRow): LazyScore {
    return this.scoreOf(row, 'churn', [row.churn, row.churnLow, row.churnHigh])
  }

  purchase(row: ProfileRow): LazyScore {
    return this.scoreOf(row, 'purchase', [row.purchase, row.purchaseLow, row.purchaseHigh])
  }

  lifetimeValue(row: ProfileRow): LazyScore {
    const units = (micros: bigint | null) => (micros === null ? null : Number(micros) / 1e6)
    return this.scoreOf(row, 'lifetimeValue', [units(row.lifetimeValueMicros), units(row.lifetimeValueLow), units(row.lifetimeValueHigh)])
  }

  private scoreOf(row: ProfileRow, prediction: Prediction, [value, low, high]: (number | null)[]): LazyScore {
    return {
      value,
      interval: low === null || high === null ? null : { low, high, level: LEVEL },
      sampleSize: row.eventCount,
      state: this.stateOf(row, prediction, value),
      decisionId: () => (value === null ? Promise.resolve(null) : this.why(row, prediction, value)),
    }
  }

  private stateOf({ eventCount, scoredAt }: ProfileRow, prediction: Prediction, value: number | null): EstimateState {
    if (value === null) return EstimateState.INSUFFICIENT_DATA
    if (!this.models.isLive(prediction) || eventCount < FEW_EVENTS) return EstimateState.LEARNING
    return scoredAt && scoredAt.getTime() > this.now().getTime() - STALE_DAYS * DAY_MS ? EstimateState.READY : EstimateState.STALE
  }

  private async why(row: ProfileRow, prediction: Prediction, value: number): Promise<string> {
    const { modelId, servedBy, contributions, rules } = this.models.explain(row, prediction, value)
    const id = await this.decisions.record({
      kind: prediction,
      userId: row.userId,
      modelId,
      servedBy,
      contributions,
      rules,
      dropped: { counts: {}, examples: [] },
      consentBasis: 'PROFILING not refused',
      input: { userId: row.userId, prediction, refreshedAt: row.refreshedAt, features: row.features },
    })
    return encodeId('Decision', id)
  }
}
