import type { ClusterRule as FoundRule } from '../algorithms/cluster/rule.js'
import type { Group } from '../algorithms/grouping/groups.js'
import { CATEGORY } from '../algorithms/grouping/people.js'
import type { Context } from '../graphql/context.js'
import type { Database } from '../platform/database.js'
import { NotFound } from '../platform/errors.js'
import type { Pool } from '../platform/pool.js'
import { reportStage } from '../platform/stages.js'
import { LEAST_EVENTS } from './cluster.task.js'
import type { ProfileHistory } from './history.js'
import type { ProfileModels } from './profile-models.js'
import type { ProfilesRepository } from './profiles.repository.js'
import type { Cluster, ClusterDrift, ClusterRule } from './profiles.schema.js'

/** Members have moved so many standard deviations from where their cluster was: time to learn anew. */
const MUCH_DRIFT = 0.5

/** The clusters of the live model: who they are, how they could be described by a rule, and whether people have moved. */
export class ClustersService {
  constructor(
    private readonly models: ProfileModels,
    private readonly profiles: ProfilesRepository,
    private readonly parts: { history: ProfileHistory; pool: Pool; database: Database },
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Largest first; none while no model is approved. */
  async all(): Promise<Cluster[]> {
    const groups = this.models.grouper()?.model.groups ?? []
    if (groups.length === 0) return []
    const [sizes, drift] = [await this.profiles.clusterSizes(), await this.drift()]
    return groups
      .map(group => clusterOf(group, sizes.get(group.key) ?? 0, drift))
      .sort((a, b) => b.size - a.size || (a.key < b.key ? -1 : 1))
  }

  /** One cluster, from the request's one look at all of them. */
  async load(context: Context, key: string): Promise<Cluster | null> {
    return (await context.loader('clusters', () => this.all())).find(cluster => cluster.key === key) ?? null
  }

  /** Where members lie, as last looked at; null before the first look at the live model. */
  async drift(): Promise<ClusterDrift | null> {
    const [live, drift] = [this.models.grouper(), await this.profiles.clusterDrift()]
    return live && drift?.modelId === live.modelId ? { ...drift, at: new Date(drift.at), limit: MUCH_DRIFT, servedBy: live.servedBy } : null
  }

  /** The best simple rule for a cluster, over everybody from whom clusters are learned. */
  async rule(key: string): Promise<ClusterRule> {
    const live = this.models.grouper()
    const group = live?.model.groups.findIndex(each => each.key === key) ?? -1
    if (!live || group < 0) throw new NotFound('No cluster of the live model has this key', { key: key.slice(0, 60) }, ['key'])
    const data = await this.parts.history.people(LEAST_EVENTS, live.model.categories)
    const { result } = await this.parts.pool.run<FoundRule>({
      family: 'grouping',
      function: 'ruleOf',
      args: [{ algorithm: live.algorithm, artifact: live.model.save(), data, group }],
    })
    return { rule: segmentRule(result, key), precision: result.precision, recall: result.recall }
  }

  /** Compares where members are now with where the model found them, and says so in the pipeline. */
  async watchDrift(): Promise<string> {
    const live = this.models.grouper()
    if (!live) return 'No clusters are live'
    const data = await this.parts.history.people(LEAST_EVENTS, live.model.categories)
    const { result } = await this.parts.pool.run<{ drift: number; drifts: Float64Array }>({
      family: 'grouping',
      function: 'driftNow',
      args: [{ algorithm: live.algorithm, artifact: live.model.save(), data }],
    })
    const keys = live.model.groups.map(({ key }) => key)
    const clusters = Object.fromEntries(keys.map((key, at) => [key, Number.isNaN(result.drifts[at]) ? null : result.drifts[at]]))
    const emptied = keys.filter(key => clusters[key] === null)
    await this.profiles.keepClusterDrift({ modelId: live.modelId ?? '', at: this.now().toISOString(), mean: result.drift, clusters })
    const reason =
      `Members lie ${result.drift.toFixed(2)} standard deviations from where ${live.servedBy} found them` +
      (emptied.length > 0 ? `; nobody is left in ${emptied.join(', ')}` : '')
    await reportStage(this.parts.database, {
      stage: 'cluster drift',
      state: result.drift > MUCH_DRIFT || emptied.length > 0 ? 'degraded' : 'ok',
      reason,
      rowsIn: data.rows,
    })
    return reason
  }
}

function clusterOf({ key, en, zh, traits, overlap }: Group, size: number, drift: ClusterDrift | null): Cluster {
  const distinguishing = traits.map(({ feature, z, centre, population }) => ({ feature, mean: centre, population, deviations: z }))
  return { key, name: en, nameZh: zh, size, distinguishing, overlapWithBefore: overlap, drift: drift?.clusters[key] ?? null }
}

/** As segmentCreate takes it; where nothing divides, membership of the cluster itself is the rule. */
function segmentRule({ alternatives }: FoundRule, key: string): unknown {
  if (alternatives.length === 0) return { cluster: key }
  return {
    any: alternatives.map(conditions => ({
      all: conditions.map(({ feature, operator, value }) => {
        if (!feature.startsWith(CATEGORY)) return { feature: { name: feature, op: operator === 'above' ? 'GT' : 'LTE', value } }
        const affinity = { affinity: { category: feature.slice(CATEGORY.length), atLeast: value } }
        return operator === 'above' ? affinity : { not: affinity }
      }),
    })),
  }
}
