import type { ClusterModel } from './segmentation.js'

/** A name in plain words and what it rests on. */
export interface ClusterName {
  en: string
  zh: string
  /** Features that set the cluster apart, strongest first: how many standard deviations its centre lies from that of all. */
  traits: { feature: string; z: number }[]
}

/** Words of a feature: how it is called, and how its high and low ends are; anything unnamed is said by its name. */
export interface FeatureWords {
  en: { high: string; low: string }
  zh: { high: string; low: string }
}

/** Features of profiles that have words of their own. */
export const PROFILE_WORDS: Readonly<Record<string, FeatureWords>> = {
  recency: { en: { high: 'long away', low: 'recently here' }, zh: { high: '久未光顾', low: '近期活跃' } },
  frequency: { en: { high: 'buys often', low: 'buys rarely' }, zh: { high: '频繁购买', low: '很少购买' } },
  monetary: { en: { high: 'spends much', low: 'spends little' }, zh: { high: '消费高', low: '消费低' } },
  tenure: { en: { high: 'long-standing', low: 'new' }, zh: { high: '老客户', low: '新客户' } },
  priceLevel: { en: { high: 'buys the expensive', low: 'buys the cheap' }, zh: { high: '偏好高价', low: '偏好低价' } },
  discountShare: { en: { high: 'hunts discounts', low: 'pays full price' }, zh: { high: '喜好折扣', low: '不看折扣' } },
  returnRate: { en: { high: 'returns a lot', low: 'keeps what is bought' }, zh: { high: '退货多', low: '退货少' } },
  sessions: { en: { high: 'visits often', low: 'visits rarely' }, zh: { high: '访问频繁', low: '访问少' } },
  interPurchaseDays: { en: { high: 'long between orders', low: 'short between orders' }, zh: { high: '购买间隔长', low: '购买间隔短' } },
}

const TELLING = 0.35
const MOST_TRAITS = 3

/** Names every cluster by the features in which its centre differs most from all; two that would be named alike get one more trait, then a number. */
export function clusterNames(model: Pick<ClusterModel, 'k' | 'features' | 'centres' | 'shares'>, words = PROFILE_WORDS): ClusterName[] {
  const { k, features, centres, shares } = model
  const means = features.map((_, column) => {
    let sum = 0
    for (let cluster = 0; cluster < k; cluster++) sum += shares[cluster] * centres[cluster * features.length + column]
    return sum
  })
  const sorted = Array.from({ length: k }, (_, cluster) =>
    features
      .map((feature, column) => ({ feature, z: centres[cluster * features.length + column] - means[column] }))
      .sort((a, b) => Math.abs(b.z) - Math.abs(a.z) || (a.feature < b.feature ? -1 : 1)),
  )
  const counts = sorted.map(traits => Math.min(MOST_TRAITS, traits.filter(({ z }) => Math.abs(z) >= TELLING).length))
  const nameOf = (cluster: number) => named(sorted[cluster].slice(0, counts[cluster]), words)
  for (let cluster = 0; cluster < k; cluster++)
    while (counts[cluster] < features.length && sorted.some((_, other) => other !== cluster && nameOf(other).en === nameOf(cluster).en))
      counts[cluster]++
  const used = new Map<string, number>()
  return sorted.map((traits, cluster) => {
    const name = nameOf(cluster)
    const times = (used.get(name.en) ?? 0) + 1
    used.set(name.en, times)
    const suffix = times > 1 ? ` (${times})` : ''
    return { en: `${name.en}${suffix}`, zh: `${name.zh}${suffix}`, traits: traits.slice(0, Math.max(1, counts[cluster])) }
  })
}

function named(traits: readonly { feature: string; z: number }[], words: Readonly<Record<string, FeatureWords>>) {
  if (traits.length === 0) return { en: 'Average', zh: '普通' }
  const en = traits.map(({ feature, z }) => {
    const own = words[feature]?.en
    const strength = Math.abs(z) >= 1.5 ? 'very ' : ''
    return own ? (z > 0 ? own.high : own.low) : `${strength}${z > 0 ? 'high' : 'low'} ${feature}`
  })
  const zh = traits.map(({ feature, z }) => {
    const own = words[feature]?.zh
    return own ? (z > 0 ? own.high : own.low) : `${feature}${Math.abs(z) >= 1.5 ? '很' : ''}${z > 0 ? '高' : '低'}`
  })
  return { en: `${en[0][0].toUpperCase()}${en.join(', ').slice(1)}`, zh: zh.join('、') }
}
