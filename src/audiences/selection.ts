/** The score and the id of the last one who belongs. */
export interface Bar {
  score: number
  lastId: number
}

const DIGITS = 6
const RADIX = 65_536
/** As many are put in order one by one. */
const FEW = 65_536

/**
 * Finds the `wanted`-th of any number of users by (score descending, id ascending) in memory that does not grow with them, however many are equal: a radix
 * selection over the 96 bits of score and id, 16 bits a pass, most significant first, until few are left. Show it all users with `look`, then ask `next`; as
 * long as that says false, all once more. Scores are numbers or infinite, never NaN or -0, and ids are not negative.
 */
export class Selection {
  private readonly histogram = new Uint32Array(RADIX)
  private readonly prefix: number[] = []
  private total = 0
  /** rank within those who have the prefix, from 1 */
  private rank: number
  private few?: { scores: Float64Array; ids: Int32Array; count: number }
  private found?: Bar

  constructor(private readonly wanted: number) {
    this.rank = wanted
  }

  look(score: number, id: number): void {
    if (this.prefix.length === 0) this.total++
    for (let place = 0; place < this.prefix.length; place++) if (digitOf(score, id, place) !== this.prefix[place]) return
    if (this.few) {
      this.few.scores[this.few.count] = score
      this.few.ids[this.few.count++] = id
    } else this.histogram[digitOf(score, id, this.prefix.length)]++
  }

  /** Ends a pass: true when the bar is known. */
  next(): boolean {
    if (this.total < this.wanted || this.total === 0) return true
    if (this.few) {
      this.found = rankedOf(this.few, this.rank)
      return true
    }
    let digit = 0
    while (this.histogram[digit] < this.rank) this.rank -= this.histogram[digit++]
    const left = this.histogram[digit]
    this.prefix.push(digit)
    this.histogram.fill(0)
    if (left <= FEW || this.prefix.length === DIGITS) this.few = { scores: new Float64Array(left), ids: new Int32Array(left), count: 0 }
    return false
  }

  /** How many belong, and the last of them; everybody when there are no more than wanted. */
  bar(): Bar & { size: number } {
    if (this.found) return { size: this.wanted, ...this.found }
    return { size: this.total, score: Number.NEGATIVE_INFINITY, lastId: Number.POSITIVE_INFINITY }
  }
}

function rankedOf({ scores, ids }: { scores: Float64Array; ids: Int32Array }, rank: number): Bar {
  const order = Uint32Array.from(ids.keys()).sort((a, b) => scores[b] - scores[a] || ids[a] - ids[b])
  const last = order[rank - 1]
  return { score: scores[last], lastId: ids[last] }
}

const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)

/** 16 of the 96 bits that order users, the first has the lowest: the higher half of the score's bits, the lower half, the id. */
function digitOf(score: number, id: number, place: number): number {
  if (place >= 4) return place === 4 ? id >>> 16 : id & 0xffff
  float[0] = score
  const isHigh = place < 2
  const word = words[isHigh ? 1 : 0]
  // The bits of negative numbers fall as they rise; those of positive ones rise, and the best comes first.
  const bits = words[1] >>> 31 ? word : ~word ^ (isHigh ? 0x80000000 : 0)
  return (place % 2 === 0 ? bits >>> 16 : bits) & 0xffff
}
