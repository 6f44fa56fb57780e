import { rareSurges } from './rare-surge.js'

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
  /** Alert when negatives that are rare (a few a step at most) are so improbable, see `rareSurges`; never unless given. */
  rareLimit?: number
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
  /** Negative mentions of as many ordinary ones. */
  expectedNegative: number
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
  /** What is too much of its kind: negative mentions, or mentions where only their number was beyond. */
  excess: number
}

export const opinionDefaults = { volumeLimit: 4, shareLimit: 4, mergeWithin: 6, quiet: 12, fewest: 5 }
const PERIODS = 4
/** Sums of so many steps are looked at too: a weak surge that lasts is one. */
const VOLUME_SPANS = [1, 2, 3]
const SHARE_SPANS = [1, 2, 3]
/** Steps between two estimates of the dispersion. */
const REFRESH = 24
/** Median of χ² with one degree of freedom. */
const CHI_SQUARE_MEDIAN = 0.4549
const LEAST_DISPERSION = 1e-3
const ANSCOMBE = 0.375

/**
 * What each step should have been: the median of the same step of the last four periods and its neighbours, brought to today's level (median ratio of
 * the last two days). Counts are Poisson with a gamma-distributed rate, variance μ + φμ²; φ is estimated robustly from the medians of past squared
 * deviations, and deviations are taken where they are normal, 2/√φ · asinh √(φ(x + 3/8)) (Anscombe 1948). Steps inside an alert do not teach.
 */
export function expectations({ total, negative, period }: MentionCounts, options: OpinionOptions = {}): Expected[] {
  const { volumeLimit, shareLimit, fewest } = { ...opinionDefaults, ...options }
  const warmUp = options.warmUp ?? 2 * period
  const reach = period >= 24 ? 1 : 0
  const steps = total.length
  const window = PERIODS * period
  const out: Expected[] = []
  const isOdd = new Uint8Array(steps)
  const [bases, expectedCounts, deviations] = [new Float64Array(steps), new Float64Array(steps), new Float64Array(steps)]
  const usual = new RollingShare(window)
  let dispersion = 0.05
  for (let step = 0; step < steps; step++) {
    const alike: number[] = []
    for (let back = 1; back <= PERIODS; back++) {
      for (let near = -reach; near <= reach; near++) {
        const at = step - period * back + near
        if (at >= 0 && !isOdd[at]) alike.push(total[at])
      }
    }
    if (alike.length === 0) for (let at = Math.max(0, step - period); at < step; at++) alike.push(total[at])
    bases[step] = median(alike)
    // Today's level against that of the same steps before: what moves everything is no news.
    const ratios: number[] = []
    for (let at = Math.max(warmUp, step - Math.min(period, 48)); at < step; at++)
      if (!isOdd[at] && bases[at] > 0) ratios.push((total[at] + 1) / (bases[at] + 1))
    const level = ratios.length >= 5 ? Math.max(0.5, Math.min(2, median(ratios))) : 1
    const expected = bases[step] * level
    expectedCounts[step] = expected
    if (step % REFRESH === 0 && step >= period)
      dispersion = dispersionOf(total, expectedCounts, isOdd, Math.max(period, step - window), step)
    const isKnown = step >= warmUp
    const center = stabilised(expected, dispersion)
    deviations[step] = stabilised(total[step], dispersion) - center
    let volume = Number.NEGATIVE_INFINITY
    for (const span of VOLUME_SPANS)
      if (step + 1 >= span) volume = Math.max(volume, sum(deviations, step + 1 - span, step) / Math.sqrt(span))
    // A sum of steps may only confirm what the step itself shows.
    if (deviations[step] < 1) volume = Math.min(volume, deviations[step])
    let share = Number.NEGATIVE_INFINITY
    for (const span of SHARE_SPANS) {
      if (step + 1 < span) continue
      const [n, x] = [sum(total, step + 1 - span, step), sum(negative, step + 1 - span, step)]
      if (x >= Math.min(3, fewest)) share = Math.max(share, (x - n * usual.value) / Math.sqrt(n * usual.value * (1 - usual.value) + 1))
    }
    const hasEnough = isKnown && total[step] >= fewest
    out.push({
      expected,
      low: Math.max(0, restored(center - 2.576, dispersion)),
      high: restored(center + 2.576, dispersion),
      volume: hasEnough ? volume : 0,
      share: isKnown && Number.isFinite(share) ? share : 0,
      negativeShare: total[step] > 0 ? negative[step] / total[step] : 0,
      expectedNegative: total[step] * usual.value,
    })
    isOdd[step] = Number(isKnown && (volume > volumeLimit || share > shareLimit))
    usual.add(isOdd[step] ? 0 : negative[step], isOdd[step] ? 0 : total[step])
  }
  return out
}

function stabilised(count: number, dispersion: number): number {
  return (2 / Math.sqrt(dispersion)) * Math.asinh(Math.sqrt(dispersion * (count + ANSCOMBE)))
}

function restored(value: number, dispersion: number): number {
  return value <= 0 ? 0 : Math.sinh((value * Math.sqrt(dispersion)) / 2) ** 2 / dispersion - ANSCOMBE
}

/** φ at which the median of (x − μ)² / (μ + φμ²) is that of a squared normal; by halving, because it falls in φ. */
function dispersionOf(total: ArrayLike<number>, expected: Float64Array, isOdd: Uint8Array, from: number, to: number): number {
  const rows: number[] = []
  for (let at = from; at < to; at++) if (!isOdd[at] && expected[at] > 0) rows.push(at)
  if (rows.length < REFRESH) return 0.05
  let [low, high] = [LEAST_DISPERSION, 4]
  for (let round = 0; round < 20; round++) {
    const middle = Math.sqrt(low * high)
    const ratios = rows.map(at => (total[at] - expected[at]) ** 2 / (expected[at] + middle * expected[at] ** 2))
    if (median(ratios) > CHI_SQUARE_MEDIAN) low = middle
    else high = middle
  }
  return high
}

/** Negatives of all over the last `window` steps; one negative in five before there is anything. */
class RollingShare {
  private readonly steps: { negatives: number; mentions: number }[] = []
  private negatives = 0
  private mentions = 0

  constructor(private readonly window: number) {}

  get value(): number {
    return (this.negatives + 1) / (this.mentions + 5)
  }

  add(negatives: number, mentions: number) {
    this.steps.push({ negatives, mentions })
    this.negatives += negatives
    this.mentions += mentions
    const gone = this.steps[this.steps.length - 1 - this.window]
    if (!gone) return
    this.negatives -= gone.negatives
    this.mentions -= gone.mentions
  }
}

/** Alerts: steps beyond a limit, near ones merged, with a quiet period after each. */
export function detectSpikes(counts: MentionCounts, options: OpinionOptions = {}): OpinionSpike[] {
  const { volumeLimit, shareLimit, mergeWithin, quiet, rareLimit = Number.POSITIVE_INFINITY } = { ...opinionDefaults, ...options }
  const spikes: (OpinionSpike & { beyond: { mentions: number; negative: number } })[] = []
  const warmUp = options.warmUp ?? 2 * counts.period
  const rare = Number.isFinite(rareLimit) ? rareSurges(counts.negative, { limit: rareLimit, warmUp }) : undefined
  expectations(counts, options).forEach(({ volume, share, expected, expectedNegative }, step) => {
    const surge = rare?.[step] ?? 0
    const [isLoud, isBad] = [volume > volumeLimit, share > shareLimit || surge > rareLimit]
    if (!isLoud && !isBad) return
    const severity = Math.max(isLoud ? volume : 0, share > shareLimit ? share : 0, surge > rareLimit ? surge : 0)
    const kind = isLoud && isBad ? 'both' : isLoud ? 'volume' : 'negative'
    const beyond = { mentions: counts.total[step] - expected, negative: counts.negative[step] - expectedNegative }
    const last = spikes.at(-1)
    if (last && step - last.end <= mergeWithin) {
      last.end = step
      last.severity = Math.max(last.severity, severity)
      last.observed += counts.total[step]
      last.expected += expected
      last.beyond.mentions += beyond.mentions
      last.beyond.negative += beyond.negative
      if (last.kind !== kind) last.kind = 'both'
      return
    }
    if (last && step - last.end <= quiet && severity < 1.5 * last.severity) return
    spikes.push({ start: step, end: step, severity, kind, observed: counts.total[step], expected, excess: 0, beyond })
  })
  return spikes.map(({ beyond, ...spike }) => ({ ...spike, excess: spike.kind === 'volume' ? beyond.mentions : beyond.negative }))
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
