/** A spike of one subject, with the posts it is made of. */
export interface CauseSpike {
  /** How much the subject takes in: a product least, the shop most. */
  breadth: number
  /** Bounds of its time, the end not in it. */
  from: number
  to: number
  severity: number
  excess: number
  /** How many posts of its kind there are in its time … */
  count: number
  /** … and those of them whose hashes are the lowest, all if they are few. */
  posts: ReadonlySet<string>
  /** People have been told of it. */
  isTold: boolean
}

/** So much of what is too much in a broader subject must be said of the narrower one, for both to be of one cause. */
const SAME_CAUSE = 0.8

/**
 * Of each spike the place of the one that stands for its cause, often itself: what is said of a product is said of its categories, its brand and the shop too, and a category may have
 * a name in each language. Two spikes are of one cause where they overlap in time and the posts that they share are most of what is too much in the broader one. One that people were
 * told of stands for its cause; else the narrowest, of equal ones the most severe, of equally severe ones the first.
 */
export function causesOf(spikes: readonly CauseSpike[]): Int32Array {
  const order = [...spikes.keys()].sort((a, b) => {
    const [one, two] = [spikes[a], spikes[b]]
    return Number(two.isTold) - Number(one.isTold) || one.breadth - two.breadth || two.severity - one.severity || a - b
  })
  const causes = new Int32Array(spikes.length)
  const heads: number[] = []
  for (const at of order) {
    const spike = spikes[at]
    // What was told stays told: two known ones are not made one afterwards.
    const head = spike.isTold ? undefined : heads.find(each => isOneCause(spikes[each], spike))
    causes[at] = head ?? at
    if (head === undefined) heads.push(at)
  }
  return causes
}

function isOneCause(one: CauseSpike, two: CauseSpike): boolean {
  if (one.from >= two.to || two.from >= one.to) return false
  const broader = one.breadth === two.breadth ? (one.excess > two.excess ? one : two) : one.breadth > two.breadth ? one : two
  const narrower = broader === one ? two : one
  let shared = 0
  for (const post of broader.posts) shared += Number(narrower.posts.has(post))
  return shared > 0 && (shared / broader.posts.size) * broader.count >= SAME_CAUSE * broader.excess
}
