import { createRandom } from '../math/random.js'
import { clusterNames } from './naming.js'
import { type ClusterRule, ruleFor } from './rule.js'
import type { Table } from './scaling.js'
import { type ClusterOptions, fitClusters, loadClusters } from './segmentation.js'

/** For worker threads: everything is structured-cloneable. */
export interface ClusterRequest {
  table: Table
  features: string[]
  options: ClusterOptions
  seed: number
}

/** Clusters with their names, the k that were tried, and the cluster of each row. */
export function fitAll({ table, features, options, seed }: ClusterRequest) {
  const model = fitClusters(table, features, options, createRandom(seed).fork('k-means'))
  return { artifact: model.save(), names: clusterNames(model), candidates: model.candidates, labels: model.assign(table) }
}

/** Cluster of each row, by a saved model. */
export function assignAll({ artifact, table }: { artifact: Uint8Array; table: Table }): { labels: Int32Array } {
  return { labels: loadClusters(artifact).assign(table) }
}

/** The best rule for one cluster of a saved model, over the rows. */
export function ruleOf({
  artifact,
  table,
  cluster,
  depth,
}: {
  artifact: Uint8Array
  table: Table
  cluster: number
  depth?: number
}): ClusterRule {
  const model = loadClusters(artifact)
  const isMember = Uint8Array.from(model.assign(table), label => (label === cluster ? 1 : 0))
  return ruleFor(table, model.features, isMember, { depth })
}
