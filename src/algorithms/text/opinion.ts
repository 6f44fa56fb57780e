/** Mentions in equal steps of time, oldest first. */
export interface MentionCounts {
  total: ArrayLike<number>
  negative: ArrayLike<number>
  /** Steps after which the rhythm repeats: 168 for hours (of the week), 7 for days. */
  period: number
}

export interface OpinionOptions {
  /** Steps at the start that only teach the baseline; two periods unless given. */
  warmUp?: number
  /** Alert when a step lies so many robust standard deviations above its baseline. */
  volumeLimit?: number
  shareLimit?: number
  /** Steps within which two alerts are one. */
  mergeWithin?: number
  /** Steps after an alert's end in which no new one is raised unless it is more severe by half. */
  quiet?: number
  /** Fewer mentions than this in a step (its negatives, for a share) raise nothing. */
  fewest?: number
}

export interface Expected {
  expected: number
  /** Bounds between which 99 of 100 ordinary steps lie. */
  low: number
  high: number
  /** Standard deviations of this step above the baseline, of volume and of negative share. */
  volume: number
  share: number
  negativeShare: number
}

export interface OpinionSpike {
  /** First and last step. */
  start: number
  end: number
  /** The largest of its standard deviations. */
  severity: number
  kind: 'volume' | 'negative' | 'both'
  observed: number
  expected: number
}

export const opinionDefaults = { volumeLimit: 5, shareLimit: 5, mergeWithin: 6, quiet: 12, fewest: 5 }
const PERIODS = 4
const RECENT = 3
const MAD = 1.4826

/**
 * What each step should have been: the median of the same step of the last four periods and its neighbours, brought to today's level (median ratio of
 * the last period), with the spread of median absolute deviations, never below Poisson's. Steps inside an alert do not teach. Works in O(steps).
 */
export function expectations({ total, negative, period }: MentionCounts, options: OpinionOptions = {}): Expected[] {
  const { volumeLimit, shareLimit, fewest } = { ...opinionDefaults, ...options }
  const warmUp = options.warmUp ?? 2 * period
  const reach = period >= 24 ? 1 : 0
  const steps = total.length
  const out: Expected[] = []
  const isOdd = new Uint8Array(steps)
  const bases = new Float64Array(steps)
  let [negatives, mentions] = [0, 0]
  const [windowNegatives, windowMentions] = [new Float64Array(steps), new Float64Array(steps)]
  const deviations = new Float64Array(steps)
  for (let step = 0; step < steps; step++) {
    const alike: number[] = []
    for (let back = 1; back <= PERIODS; back++) {
      for (let near = -reach; near <= reach; near++) {
        const at = step - period * back + near
        if (at >= 0 && !isOdd[at]) alike.push(total[at])
      }
    }
    if (alike.length === 0) for (let at = Math.max(0, step - period); at < step; at++) alike.push(total[at])
    const base = median(alike)
    bases[step] = base
    // Today's level against that of the same steps before: what moves everything is no news.
    const ratios: number[] = []
    const span = Math.min(period, 48)
    for (let at = Math.max(warmUp, step - span); at < step; at++)
      if (!isOdd[at] && bases[at] > 0) ratios.push((total[at] + 1) / (bases[at] + 1))
    const level = ratios.length >= 5 ? Math.max(0.5, Math.min(2, median(ratios))) : 1
    const expected = base * level
    const spread = Math.max(MAD * median(alike.map(value => Math.abs(value - base))) * level, Math.sqrt(expected + 1))
    const volume = (total[step] - expected) / spread
    // The share over the last three steps against that of all quiet ones of four periods.
    const from = Math.max(0, step - RECENT + 1)
    const [n, x] = [sum(total, from, step), sum(negative, from, step)]
    const usual = (negatives + 1) / (mentions + 5)
    const share = (x - n * usual) / Math.sqrt(n * usual * (1 - usual) + 1)
    const own = (negative[step] - total[step] * usual) / Math.sqrt(total[step] * usual * (1 - usual) + 1)
    const isKnown = step >= warmUp
    deviations[step] = isKnown ? Math.max(share, own) : 0
    out.push({
      expected,
      low: Math.max(0, expected - 2.576 * spread),
      high: expected + 2.576 * spread,
      volume: isKnown && total[step] >= fewest ? volume : 0,
      share: isKnown && x >= Math.min(3, fewest) ? deviations[step] : 0,
      negativeShare: total[step] > 0 ? negative[step] / total[step] : 0,
    })
    isOdd[step] = Number(isKnown && (volume > volumeLimit || share > shareLimit))
    windowNegatives[step] = isOdd[step] ? 0 : negative[step]
    windowMentions[step] = isOdd[step] ? 0 : total[step]
    negatives += windowNegatives[step]
    mentions += windowMentions[step]
    const gone = step - PERIODS * period
    if (gone >= 0) {
      negatives -= windowNegatives[gone]
      mentions -= windowMentions[gone]
    }
  }
  return out
}

/** Alerts: steps beyond a limit, near ones merged, with a quiet period after each. */
export function detectSpikes(counts: MentionCounts, options: OpinionOptions = {}): OpinionSpike[] {
  const { volumeLimit, shareLimit, mergeWithin, quiet } = { ...opinionDefaults, ...options }
  const spikes: OpinionSpike[] = []
  expectations(counts, options).forEach(({ volume, share, expected }, step) => {
    const [isLoud, isBad] = [volume > volumeLimit, share > shareLimit]
    if (!isLoud && !isBad) return
    const severity = Math.max(isLoud ? volume : 0, isBad ? share : 0)
    const kind = isLoud && isBad ? 'both' : isLoud ? 'volume' : 'negative'
    const last = spikes.at(-1)
    if (last && step - last.end <= mergeWithin) {
      last.end = step
      last.severity = Math.max(last.severity, severity)
      last.observed += counts.total[step]
      last.expected += expected
      if (last.kind !== kind) last.kind = 'both'
      return
    }
    if (last && step - last.end <= quiet && severity < 1.5 * last.severity) return
    spikes.push({ start: step, end: step, severity, kind, observed: counts.total[step], expected })
  })
  return spikes
}

function median(values: number[]): number {
  if (values.length === 0) return 0
  const sorted = values.sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function sum(values: ArrayLike<number>, from: number, to: number): number {
  let total = 0
  for (let at = from; at <= to; at++) total += values[at]
  return total
}
