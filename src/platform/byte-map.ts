import { randomInt } from 'node:crypto'

const SMALLEST = 1024
/** Odd, and without a pattern in its bits (2³² divided by the golden ratio). */
const MULTIPLIER = 0x9e3779b1

/** Whole numbers of 32 bits by keys of bytes, of which no strings are made: to look one up makes no garbage. */
export class ByteMap {
  /** Places among the keys, from 1; 0 is free. Half of the slots stay so. */
  private slots = new Int32Array(SMALLEST * 2)
  private hashes = new Int32Array(SMALLEST)
  private values = new Int32Array(SMALLEST)
  /** Where each key ends among the bytes of all. */
  private ends = new Int32Array(SMALLEST + 1)
  private keys = Buffer.allocUnsafe(SMALLEST * 16)
  private count = 0
  /** Nobody can choose keys that fall together. */
  private readonly seed = randomInt(2 ** 31)

  get size(): number {
    return this.count
  }

  /** The value of the key that lies from `start` to `end`; undefined where it has none. */
  get(bytes: Uint8Array, start = 0, end = bytes.length): number | undefined {
    const place = this.slots[this.slotOf(bytes, start, end, this.hash(bytes, start, end))]
    return place === 0 ? undefined : this.values[place - 1]
  }

  /** Gives the key a value; whether it had none before. */
  set(value: number, bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    const hash = this.hash(bytes, start, end)
    const slot = this.slotOf(bytes, start, end, hash)
    const place = this.slots[slot]
    if (place !== 0) {
      this.values[place - 1] = value
      return false
    }
    this.append(bytes, start, end)
    this.hashes[this.count] = hash
    this.values[this.count++] = value
    this.slots[slot] = this.count
    if (this.count === this.values.length) this.grow()
    return true
  }

  clear() {
    this.slots.fill(0)
    this.count = 0
  }

  private hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = this.seed
    for (let at = start; at < end; at++) {
      hash = Math.imul(hash ^ bytes[at], MULTIPLIER)
      hash ^= hash >>> 15
    }
    return hash
  }

  private slotOf(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const { slots, hashes } = this
    const mask = slots.length - 1
    let slot = hash & mask
    for (; ; slot = (slot + 1) & mask) {
      const place = slots[slot]
      if (place === 0 || (hashes[place - 1] === hash && this.isKey(place - 1, bytes, start, end))) return slot
    }
  }

  private isKey(place: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { keys, ends } = this
    let key = ends[place]
    if (ends[place + 1] - key !== end - start) return false
    for (let at = start; at < end; at++) if (keys[key++] !== bytes[at]) return false
    return true
  }

  private append(bytes: Uint8Array, start: number, end: number) {
    const from = this.ends[this.count]
    const to = from + end - start
    if (to > this.keys.length) {
      const larger = Buffer.allocUnsafe(Math.max(to, this.keys.length * 2))
      this.keys.copy(larger, 0, 0, from)
      this.keys = larger
    }
    for (let at = start, key = from; at < end; ) this.keys[key++] = bytes[at++]
    this.ends[this.count + 1] = to
  }

  private grow() {
    const size = this.values.length * 2
    this.hashes = larger(this.hashes, size)
    this.values = larger(this.values, size)
    this.ends = larger(this.ends, size + 1)
    this.slots = new Int32Array(size * 2)
    const mask = this.slots.length - 1
    for (let place = 0; place < this.count; place++) {
      let slot = this.hashes[place] & mask
      while (this.slots[slot] !== 0) slot = (slot + 1) & mask
      this.slots[slot] = place + 1
    }
  }
}

function larger(numbers: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(size)
  grown.set(numbers)
  return grown
}
