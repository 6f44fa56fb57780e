import { type ListEstimate, type OffPolicyEstimate, snips, snipsOfLists } from '../algorithms/evaluate/experiment.js'
import { chanceAt, firstProbabilities } from '../algorithms/recommend/explore.js'
import type { Recommender } from '../algorithms/recommend/recommender.js'
import { decodeId } from '../graphql/node-id.js'
import { InvalidInput, NotFound } from '../platform/errors.js'
import { cleanOptionalText } from '../platform/text-input.js'
import type { LiveModels } from '../registry/live-models.js'
import { type Live, nameOf, TASK } from './candidates.js'
import type { ExperimentsRepository, LoggedDecision } from './experiments.repository.js'
import { type OffPolicyArgs, Reward } from './experiments.schema.js'
import { EXPLORED_POOL } from './experiments.service.js'
import { RecommendationAlgorithm } from './recommendations.schema.js'
import type { RecommendationsService } from './recommendations.service.js'

const LOGGED = 5_000
const LEAST_EFFECTIVE = 100
const PAUSE_EVERY = 20

/** What another policy would have earned on the decisions that chance made, before anybody is shown anything by it. */
export class OffPolicyService {
  constructor(
    private readonly experiments: Pick<ExperimentsRepository, 'explored'>,
    private readonly models: LiveModels,
    private readonly recommendations: Pick<RecommendationsService, 'wouldShow'>,
  ) {}

  /** Of the first items alone, and of whole lists. */
  async estimate({ algorithm, modelId, placement, days, reward, exploration }: OffPolicyArgs) {
    if (!(days >= 1 && days <= 365)) throw new InvalidInput('days must be between 1 and 365', {}, ['days'])
    if (!(exploration >= 0 && exploration <= 1)) throw new InvalidInput('exploration must be between 0 and 1', {}, ['exploration'])
    const model = await this.candidate(algorithm ?? null, modelId ?? null)
    const place = cleanOptionalText(placement, { field: ['placement'], max: 100 }) ?? null
    const all = await this.experiments.explored(days, place, reward === Reward.PURCHASE ? 'PURCHASE' : 'CLICK', LOGGED)
    const logged = all.filter(({ asked }) => !asked?.isFiltered)
    const rewards = logged.map(({ shown, chances, rewarded }) => chances.map((_, at) => Number(rewarded.includes(shown[at]))))
    const weights: number[][] = []
    for (const [at, decision] of logged.entries()) {
      weights.push(await this.weightsOf(model, decision, exploration))
      if (at % PAUSE_EVERY === PAUSE_EVERY - 1) await new Promise(done => setImmediate(done))
    }
    const first = (rows: readonly number[][]) => rows.map(([each]) => each)
    const found = snips(first(rewards), first(weights))
    const list = snipsOfLists(rewards, weights)
    return {
      policy: model.servedBy,
      decisions: logged.length,
      ...told(found),
      logged: list.places[0]?.logged ?? null,
      list: { ...told(list), places: list.places.map((each, at) => ({ ...each, place: at + 1 })) },
      caveats: [...caveatsOf(found, logged.length), ...listCaveats(list), ...filteredCaveats(all.length - logged.length)],
    }
  }

  private async candidate(algorithm: RecommendationAlgorithm | null, modelId: string | null): Promise<Live> {
    if ((algorithm === null) === (modelId === null))
      throw new InvalidInput('Give either algorithm or modelId', {}, [algorithm === null ? 'algorithm' : 'modelId'])
    if (modelId !== null) {
      const model = await this.models.candidate<Recommender>(TASK, decodeId('Model', modelId, 'modelId'))
      if (!model) throw new NotFound('No model for recommendations has this id', {}, ['modelId'])
      return model
    }
    const model =
      algorithm === RecommendationAlgorithm.AUTO
        ? this.models.live<Recommender>(TASK)
        : this.models.named<Recommender>(TASK, nameOf(algorithm as RecommendationAlgorithm))
    if (!model) throw new NotFound(`${algorithm} has no approved model; name a candidate by modelId`, {}, ['algorithm'])
    return model
  }

  /** For each place of a logged list: the chance with which the model, explored in this way, would have shown the same there, by the chance that it had. */
  private async weightsOf(model: Live, decision: LoggedDecision, exploration: number): Promise<number[]> {
    const { userId, at, placement, asked, shown, chances, products, hundredths, seconds } = decision
    const visitor = {
      id: userId,
      personalisation: null,
      products: Int32Array.from(products),
      weights: Float32Array.from(hundredths, each => each / 100),
      times: Float64Array.from(seconds, each => each * 1_000),
    }
    const { list, drawn } = await this.recommendations.wouldShow(
      model,
      { visitor, at, placement, asked: asked ?? undefined },
      { pool: Math.max(EXPLORED_POOL, chances.length), places: chances.length },
    )
    const open = list.slice(0, Math.min(EXPLORED_POOL, drawn)).filter(({ product }) => !product.demotedAt)
    const probabilities =
      open.length > 0
        ? firstProbabilities(
            open.map(({ score }) => score),
            exploration,
          )
        : []
    const ranks = new Map(list.map(({ product }, rank) => [product.key, rank]))
    return chances.map((chance, place) => {
      const rank = ranks.get(shown[place])
      return rank === undefined ? 0 : chanceAt(probabilities, rank, place) / chance
    })
  }
}

function told<Estimate extends { value: number | null; low: number; high: number }>(found: Estimate) {
  return { ...found, low: found.value === null ? null : found.low, high: found.value === null ? null : found.high }
}

function caveatsOf({ value, effectiveSize, meanWeight }: OffPolicyEstimate, decisions: number): string[] {
  if (decisions === 0) return ['No decision was made by chance: run an experiment with an arm whose exploration is above 0']
  if (value === null) return ['Nothing that was shown first is what this policy would show first: there is no estimate']
  return [
    ...(effectiveSize < LEAST_EFFECTIVE
      ? [`The log is worth only ${effectiveSize.toFixed(0)} decisions of this policy: too few to rely on`]
      : []),
    ...(meanWeight < 0.8 || meanWeight > 1.25
      ? [`The mean weight is ${meanWeight.toFixed(2)} instead of 1: this policy shows much that the log never could`]
      : []),
  ]
}

/** Chance moves the items behind the first by one place at most: of a policy with another order of those the log knows little. */
function listCaveats({ value, meanWeight, places }: ListEstimate): string[] {
  const untold = places.filter(place => place.value === null).length
  if (value === null || (untold === 0 && meanWeight >= 0.8)) return []
  const told = untold > 0 ? `, and nothing at ${untold} of ${places.length} places` : ''
  return [
    `Of the whole list the log could show ${Math.round(100 * meanWeight)} % of what this policy would${told}: its estimate is of that part`,
  ]
}

function filteredCaveats(filtered: number): string[] {
  return filtered > 0 ? [`${filtered} decisions more were asked for with a filter of their own, which is not kept: they are left out`] : []
}
