import type { Table } from './scaling.js'

/** One comparison of a feature with a value, in the feature's own units. The unknown meet no condition. */
export interface Condition {
  feature: string
  operator: 'atMost' | 'above'
  value: number
}

/** A rule that approximates a cluster: rows that meet all conditions of any alternative. */
export interface ClusterRule {
  /** OR of ANDs. */
  alternatives: Condition[][]
  precision: number
  recall: number
  f1: number
}

const MOST_CUTS = 64

/**
 * The best rule for the members among the rows: a tree of at most `depth` questions, cut by Gini impurity, whose leaves are then taken by precision as long as F1
 * grows. Without members, or where nothing divides, there is no alternative and recall is 0.
 */
export function ruleFor(table: Table, features: readonly string[], isMember: Uint8Array, { depth = 3, minimumRows = 5 } = {}): ClusterRule {
  const members = isMember.reduce((sum, each) => sum + each, 0)
  const leaves: { conditions: Condition[]; rows: number; hits: number }[] = []
  const visit = (rows: Int32Array, conditions: Condition[], left: number) => {
    let hits = 0
    for (const row of rows) hits += isMember[row]
    const cut = left > 0 && hits > 0 && hits < rows.length ? bestCut(table, rows, isMember, minimumRows) : undefined
    if (!cut) {
      leaves.push({ conditions, rows: rows.length, hits })
      return
    }
    const value = (row: number) => table.values[row * table.columnCount + cut.column]
    const feature = features[cut.column]
    visit(
      rows.filter(row => value(row) <= cut.value),
      [...conditions, { feature, operator: 'atMost', value: cut.value }],
      left - 1,
    )
    visit(
      rows.filter(row => value(row) > cut.value),
      [...conditions, { feature, operator: 'above', value: cut.value }],
      left - 1,
    )
  }
  visit(
    Int32Array.from({ length: table.rows }, (_, row) => row),
    [],
    depth,
  )
  const f1 = (hits: number, rows: number) => (rows + members > 0 ? (2 * hits) / (rows + members) : 0)
  let [hits, rows] = [0, 0]
  const alternatives: Condition[][] = []
  for (const leaf of leaves.filter(each => each.hits > 0 && each.conditions.length > 0).sort((a, b) => b.hits / b.rows - a.hits / a.rows)) {
    if (f1(hits + leaf.hits, rows + leaf.rows) <= f1(hits, rows)) continue
    hits += leaf.hits
    rows += leaf.rows
    alternatives.push(simplified(leaf.conditions))
  }
  return { alternatives, precision: rows > 0 ? hits / rows : 0, recall: members > 0 ? hits / members : 0, f1: f1(hits, rows) }
}

/** Rows that meet a rule. */
export function meets({ alternatives }: Pick<ClusterRule, 'alternatives'>, features: readonly string[], row: ArrayLike<number>): boolean {
  return alternatives.some(conditions =>
    conditions.every(({ feature, operator, value }) => {
      const own = row[features.indexOf(feature)]
      return operator === 'atMost' ? own <= value : own > value
    }),
  )
}

/** Of several bounds of one feature on one side the tightest holds. */
function simplified(conditions: readonly Condition[]): Condition[] {
  const kept = new Map<string, Condition>()
  for (const condition of conditions) {
    const key = `${condition.feature} ${condition.operator}`
    const known = kept.get(key)
    const isTighter = !known || (condition.operator === 'atMost' ? condition.value < known.value : condition.value > known.value)
    if (isTighter) kept.set(key, condition)
  }
  return [...kept.values()]
}

function bestCut({ columnCount, values }: Table, rows: Int32Array, isMember: Uint8Array, minimumRows: number) {
  let best: { column: number; value: number } | undefined
  let least = Number.POSITIVE_INFINITY
  for (let column = 0; column < columnCount; column++) {
    const known = rows.filter(row => !Number.isNaN(values[row * columnCount + column]))
    const sorted = Float32Array.from(known, row => values[row * columnCount + column]).sort()
    if (known.length < 2 * minimumRows || sorted[0] === sorted[sorted.length - 1]) continue
    const cuts = new Set<number>()
    for (let at = 1; at < MOST_CUTS; at++) cuts.add(sorted[Math.floor((at * (sorted.length - 1)) / MOST_CUTS)])
    for (const value of cuts) {
      let [below, belowHits, hits] = [0, 0, 0]
      for (const row of known) {
        hits += isMember[row]
        if (values[row * columnCount + column] > value) continue
        below++
        belowHits += isMember[row]
      }
      const above = known.length - below
      if (below < minimumRows || above < minimumRows) continue
      // n · Gini of both sides; rows of unknown value meet neither.
      const impurity = belowHits * (1 - belowHits / below) + (hits - belowHits) * (1 - (hits - belowHits) / above)
      if (impurity < least - 1e-12) {
        least = impurity
        best = { column, value }
      }
    }
  }
  return best
}
