/**
 * Indexes of the `count` largest finite scores, best first, ties by index ascending; entries with `skip[index] !== 0` are left out.
 * A heap of `count` entries: O(n log count), no sorting of all.
 */
export function topIndexes(scores: Float64Array, count: number, skip?: Uint8Array): Int32Array {
  return best(scores, count, scores.length, undefined, skip)
}

/** The same of the first `length` indexes in `among`, each of which is there once: what was not touched is not looked at. */
export function topAmong(scores: Float64Array, count: number, among: Int32Array, length: number, skip?: Uint8Array): Int32Array {
  return best(scores, count, length, among, skip)
}

function best(scores: Float64Array, count: number, candidates: number, among?: Int32Array, skip?: Uint8Array): Int32Array {
  const size = Math.min(count, candidates)
  const heap: Heap = { indexes: new Int32Array(size), scores: new Float64Array(size), length: 0 }
  let least = Number.NEGATIVE_INFINITY
  for (let place = 0; place < candidates && size > 0; place++) {
    const index = among ? among[place] : place
    const score = scores[index]
    // Almost all end here.
    if (score < least || skip?.[index] || !Number.isFinite(score)) continue
    if (heap.length < size) rise(heap, index, score)
    else if (score > least || index < heap.indexes[0]) sink(heap, index, score)
    if (heap.length === size) least = heap.scores[0]
  }
  const found = new Int32Array(heap.length)
  for (let place = heap.length - 1; place >= 0; place--) {
    found[place] = heap.indexes[0]
    const last = --heap.length
    sink(heap, heap.indexes[last], heap.scores[last])
  }
  return found
}

/** Its root is the worst of those kept: lower score, or equal score and higher index. */
interface Heap {
  indexes: Int32Array
  scores: Float64Array
  length: number
}

/** Adds one at the end, and lets it rise. */
function rise(heap: Heap, index: number, score: number) {
  const { indexes, scores } = heap
  let at = heap.length++
  for (let parent = (at - 1) >> 1; at > 0; parent = (at - 1) >> 1) {
    if (score > scores[parent] || (score === scores[parent] && index < indexes[parent])) break
    indexes[at] = indexes[parent]
    scores[at] = scores[parent]
    at = parent
  }
  indexes[at] = index
  scores[at] = score
}

/** Puts one in the root's place, and lets it sink. */
function sink({ indexes, scores, length }: Heap, index: number, score: number) {
  let at = 0
  for (let child = 1; child < length; child = 2 * at + 1) {
    const right = child + 1
    if (right < length && (scores[right] < scores[child] || (scores[right] === scores[child] && indexes[right] > indexes[child])))
      child = right
    if (score < scores[child] || (score === scores[child] && index > indexes[child])) break
    indexes[at] = indexes[child]
    scores[at] = scores[child]
    at = child
  }
  indexes[at] = index
  scores[at] = score
}
