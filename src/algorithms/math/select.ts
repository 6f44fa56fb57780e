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
  const heap = new Int32Array(size)
  let length = 0
  // The heap's root is the worst of those kept: lower score, or equal score and higher index.
  const isWorse = (a: number, b: number) => scores[a] < scores[b] || (scores[a] === scores[b] && a > b)
  for (let place = 0; place < candidates && size > 0; place++) {
    const index = among ? among[place] : place
    // Almost all end here.
    if (length === size && scores[index] < scores[heap[0]]) continue
    if (skip?.[index] || !Number.isFinite(scores[index])) continue
    if (length < size) {
      let at = length++
      heap[at] = index
      for (let parent = (at - 1) >> 1; at > 0 && isWorse(heap[at], heap[parent]); parent = (at - 1) >> 1) {
        swap(heap, at, parent)
        at = parent
      }
    } else if (isWorse(heap[0], index)) {
      heap[0] = index
      sink(heap, length, isWorse)
    }
  }
  const found = new Int32Array(length)
  for (let place = length - 1; place >= 0; place--) {
    found[place] = heap[0]
    heap[0] = heap[--length]
    sink(heap, length, isWorse)
  }
  return found
}

function sink(heap: Int32Array, length: number, isWorse: (a: number, b: number) => boolean) {
  for (let at = 0; ; ) {
    const left = 2 * at + 1
    if (left >= length) return
    const child = left + 1 < length && isWorse(heap[left + 1], heap[left]) ? left + 1 : left
    if (!isWorse(heap[child], heap[at])) return
    swap(heap, at, child)
    at = child
  }
}

function swap(heap: Int32Array, a: number, b: number) {
  const kept = heap[a]
  heap[a] = heap[b]
  heap[b] = kept
}
