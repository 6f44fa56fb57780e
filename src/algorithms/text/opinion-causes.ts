/** A spike of one subject, with the posts it is made of. */
export interface CauseSpike {
  /** How much the subject takes in: a product least, the shop most. */
  breadth: number
  /** Bounds of its time, the end not in it. */
  from: number
  to: number
  severity: number
  excess: number
  /** Mentions that are usual in its time. */
  expected: number
  /** How many posts of its kind there are in its time … */
  count: number
  /** … and those of them whose hashes are the lowest, all if they are few. */
  posts: ReadonlySet<string>
  /** People have been told of it. */
  isTold: boolean
}

/** So much of what is too much in a broader subject must be said of the narrower one, for both to be of one cause. */
const SAME_CAUSE = 0.8
/** A part has no more than its share where it lies below so many standard deviations above it. */
const IN_PROPORTION = 2

/**
 * Of each spike the place of the one that stands for its cause, often itself: what is said of a product is said of its categories, its brand and the shop too, and a category may have
 * a name in each language. Two spikes that overlap in time are of one cause
 * - where the posts that they share are most of what is too much in the broader one: the narrower one stands for it (of equally broad ones the most severe, then the first);
 * - where, of the broader one's posts, the narrower one has no more than its usual share (binomial): everything there is spoken of, and the broader one stands for it.
 * What people were told of stays told and stands for what comes to it.
 */
export function causesOf(spikes: readonly CauseSpike[]): Int32Array {
  const order = [...spikes.keys()].sort((a, b) => {
    const [one, two] = [spikes[a], spikes[b]]
    return Number(two.isTold) - Number(one.isTold) || one.breadth - two.breadth || two.severity - one.severity || a - b
  })
  const causes = Int32Array.from(spikes.keys())
  const heads: number[] = []
  for (const at of order) {
    const spike = spikes[at]
    // What was told stays told: two known ones are not made one afterwards.
    const head = spike.isTold ? undefined : heads.find(each => coversExcess(spikes[each], spike))
    if (head === undefined) heads.push(at)
    else causes[at] = head
  }
  for (const at of heads) {
    if (spikes[at].isTold) continue
    const whole = heads
      .filter(each => spikes[each].breadth > spikes[at].breadth && causes[each] === each && isInProportion(spikes[at], spikes[each]))
      .sort((a, b) => spikes[b].severity - spikes[a].severity)
    if (whole.length > 0) causes[at] = whole[0]
  }
  return causes.map(at => {
    let cause = at
    while (causes[cause] !== cause) cause = causes[cause]
    return cause
  })
}

function coversExcess(one: CauseSpike, two: CauseSpike): boolean {
  const [narrow, broad] = one.breadth < two.breadth || (one.breadth === two.breadth && one.excess <= two.excess) ? [one, two] : [two, one]
  const posts = shared(narrow, broad)
  return posts > 0 && posts >= SAME_CAUSE * broad.excess
}

function isInProportion(part: CauseSpike, whole: CauseSpike): boolean {
  const posts = shared(part, whole)
  const share = part.expected / (part.to - part.from) / (whole.expected / (whole.to - whole.from))
  if (posts === 0 || !(share < 1)) return false
  return posts - whole.count * share <= IN_PROPORTION * Math.sqrt(whole.count * share * (1 - share))
}

/** How many posts of the broader one are the narrower one's too. */
function shared(narrow: CauseSpike, broad: CauseSpike): number {
  if (narrow.from >= broad.to || broad.from >= narrow.to) return 0
  let posts = 0
  for (const post of broad.posts) posts += Number(narrow.posts.has(post))
  return (posts / Math.max(1, broad.posts.size)) * broad.count
}
