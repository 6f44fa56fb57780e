/** How groups are called. */
export interface Keys {
  /** By group: its key, and the overlap with the group that had it before (null: the key is new). */
  own: { key: string; overlap: number | null }[]
  /** The highest number that a key ever had. */
  highest: number
  /** Keys that no group has any more. */
  ended: string[]
}

/** A group is the old one if those whom either holds are mostly held by both; above one half no two groups can be the same old one (Hennig 2007). */
const SAME = 0.5

/**
 * Keys of `k` groups: that of the old group with which a group has more than half of their members in common, else a new number above `highest`. `labels` and
 * `were` are the groups of the same people now and before (−1: of none).
 */
export function keysOf(
  old: readonly string[],
  k: number,
  { highest = 0, labels = new Int32Array(0), were = new Int32Array(0) }: { highest?: number; labels?: Int32Array; were?: Int32Array } = {},
): Keys {
  if (labels.length !== were.length) throw new RangeError(`${labels.length} labels of now do not fit ${were.length} of before`)
  const both = new Float64Array(k * old.length)
  const now = new Float64Array(k)
  const before = new Float64Array(old.length)
  for (let row = 0; row < labels.length; row++) {
    now[labels[row]]++
    if (were[row] < 0) continue
    before[were[row]]++
    both[labels[row] * old.length + were[row]]++
  }
  let last = highest
  const own = Array.from({ length: k }, (_, group) => {
    for (const [place, key] of old.entries()) {
      const common = both[group * old.length + place]
      const overlap = common / (now[group] + before[place] - common)
      if (overlap > SAME) return { key, overlap }
    }
    return { key: `c${++last}`, overlap: null }
  })
  const kept = new Set(own.map(({ key }) => key))
  return { own, highest: last, ended: old.filter(key => !kept.has(key)) }
}
