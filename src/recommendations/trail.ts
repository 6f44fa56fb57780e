import { UNSCORED } from './candidates.js'

const EXAMPLES_OF_DROPPED = 20
const EXAMPLES_A_REASON = 5

/** What happened on the way to the answer; the decision keeps it. */
export interface Trail {
  fallbacks: string[]
  rules: string[]
  dropped: { counts: Record<string, number>; examples: { item: string; reason: string }[] }
}

export function newTrail(): Trail {
  return { fallbacks: [], rules: [], dropped: { counts: {}, examples: [] } }
}

export function countDrop({ counts, examples }: Trail['dropped'], item: string, reason: string) {
  counts[reason] = (counts[reason] ?? 0) + 1
  const isShown = reason !== UNSCORED && counts[reason] <= EXAMPLES_A_REASON && examples.length < EXAMPLES_OF_DROPPED
  if (isShown) examples.push({ item, reason })
}

export function note(trail: Trail, item: string, reason: string) {
  countDrop(trail.dropped, item, reason)
  trail.rules.push(`${item}: ${reason}`)
}

export function merged(a: Trail['dropped'], b: Trail['dropped']): Trail['dropped'] {
  const counts = { ...a.counts }
  for (const [reason, count] of Object.entries(b.counts)) counts[reason] = (counts[reason] ?? 0) + count
  return { counts, examples: [...a.examples, ...b.examples].slice(0, EXAMPLES_OF_DROPPED) }
}

/** Says why a list is shorter than was asked for. */
export function shortOf(length: number, first: number, { dropped }: Trail, otherwise = 'the catalogue has no more'): string {
  const causes = Object.entries(dropped.counts).sort((a, b) => b[1] - a[1])
  const told = causes.map(([reason, count]) => `${reason} (${count})`).join(', ')
  return `${length === 0 ? 'Nothing can be shown' : `${length} of ${first} can be shown`}: ${told || otherwise}`
}
