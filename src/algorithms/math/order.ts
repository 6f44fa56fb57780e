const RADIX = 256
const DIGITS = 8

/** Indexes of `values` in ascending order, equal ones by index (stable), NaN last, −0 as 0. Radix sort: O(n), no comparisons. */
export function ascending(values: ArrayLike<number>): Int32Array {
  const count = values.length
  // The bits of a double, sign flipped, order as the numbers do when read as an unsigned integer (all bits flipped where negative).
  const numbers = new Float64Array(count)
  for (let index = 0; index < count; index++) numbers[index] = Number.isNaN(values[index]) ? Number.NaN : values[index] + 0
  const words = new Uint32Array(numbers.buffer)
  for (let at = 0; at < words.length; at += 2) {
    const isNegative = words[at + 1] >>> 31 === 1
    words[at] = isNegative ? ~words[at] : words[at]
    words[at + 1] = isNegative ? ~words[at + 1] : words[at + 1] | 0x80000000
  }
  const digits = new Uint8Array(numbers.buffer)
  let order = Int32Array.from({ length: count }, (_, index) => index)
  let next = new Int32Array(count)
  for (let digit = 0; digit < DIGITS; digit++) {
    const starts = new Int32Array(RADIX + 1)
    for (let at = digit; at < digits.length; at += DIGITS) starts[digits[at] + 1]++
    if (count > 0 && starts[digits[digit] + 1] === count) continue
    for (let value = 0; value < RADIX; value++) starts[value + 1] += starts[value]
    for (let at = 0; at < count; at++) next[starts[digits[DIGITS * order[at] + digit]]++] = order[at]
    ;[order, next] = [next, order]
  }
  return order
}

/** Σ values[from … to), by halves: the error grows as log n, and the result is that of NumPy's `sum`, bit for bit. */
export function pairwiseSum(values: ArrayLike<number>, from = 0, to = values.length): number {
  const count = to - from
  if (count < 8) {
    let sum = 0
    for (let at = from; at < to; at++) sum += values[at]
    return sum
  }
  if (count > 128) {
    const half = count / 2 - ((count / 2) % 8)
    const middle = from + Math.floor(half)
    return pairwiseSum(values, from, middle) + pairwiseSum(values, middle, to)
  }
  const sums = [0, 1, 2, 3, 4, 5, 6, 7].map(lane => values[from + lane])
  let at = from + 8
  for (; at + 8 <= to; at += 8) for (let lane = 0; lane < 8; lane++) sums[lane] += values[at + lane]
  let sum = sums[0] + sums[1] + (sums[2] + sums[3]) + (sums[4] + sums[5] + (sums[6] + sums[7]))
  for (; at < to; at++) sum += values[at]
  return sum
}
