/** Cut points between the scores 1 to 5, ascending: the 20th, 40th, 60th and 80th percentile of the customers. */
export type Cuts = readonly number[]

export interface RfmCuts {
  recencyDays: Cuts
  frequency: Cuts
  monetary: Cuts
}

export interface RfmScores {
  recencyScore: number
  frequencyScore: number
  monetaryScore: number
  group: RfmGroup
}

export type RfmGroup = keyof typeof GROUPS

/** Names of the groups for people. */
export const GROUPS = {
  champions: { en: 'Champions', zh: '冠军客户' },
  loyal: { en: 'Loyal customers', zh: '忠诚客户' },
  potentialLoyal: { en: 'Potential loyalists', zh: '潜力客户' },
  new: { en: 'New customers', zh: '新客户' },
  needAttention: { en: 'Need attention', zh: '需要关注' },
  atRisk: { en: 'At risk', zh: '流失风险' },
  cannotLose: { en: 'Cannot lose them', zh: '不可流失' },
  hibernating: { en: 'Hibernating', zh: '休眠客户' },
  lost: { en: 'Lost', zh: '已流失' },
} as const

/**
 * Percentile cut points (nearest rank) of the values. Equal values always fall on the same side of a cut, so scores are stable under ties.
 * An empty list has no cuts: everybody scores 3.
 */
export function cutsOf(values: Float64Array): Cuts {
  const sorted = values.slice().sort()
  if (sorted.length === 0) return []
  return [0.2, 0.4, 0.6, 0.8].map(share => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)])
}

/** 1 to 5: one more than the number of cuts that the value exceeds. */
export function scoreOf(value: number, cuts: Cuts): number {
  return cuts.length === 0 ? 3 : 1 + cuts.filter(cut => value > cut).length
}

/** Recency, frequency and monetary scores of a customer (Hughes 1994), 5 is best; undefined for somebody who never ordered. */
export function rfmOf(
  { recencyDays, orderDays, monetary }: { recencyDays: number; orderDays: number; monetary: number },
  cuts: RfmCuts,
): RfmScores | undefined {
  if (!(orderDays > 0)) return undefined
  const recencyScore = 6 - scoreOf(recencyDays, cuts.recencyDays)
  const frequencyScore = scoreOf(orderDays, cuts.frequency)
  const monetaryScore = scoreOf(monetary, cuts.monetary)
  return { recencyScore, frequencyScore, monetaryScore, group: groupOf(recencyScore, (frequencyScore + monetaryScore) / 2) }
}

/** The usual map of recency against the mean of frequency and monetary value; every pair of scores has exactly one group. */
function groupOf(recency: number, value: number): RfmGroup {
  if (recency >= 4) return value >= 4 ? 'champions' : value >= 3 ? 'loyal' : value >= 2 ? 'potentialLoyal' : 'new'
  if (recency === 3) return value >= 4 ? 'loyal' : value >= 2.5 ? 'needAttention' : 'potentialLoyal'
  if (value >= 4.5) return 'cannotLose'
  if (value >= 3) return 'atRisk'
  return recency === 2 ? 'hibernating' : 'lost'
}
