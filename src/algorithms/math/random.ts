/** A stream of random numbers that is the same for the same seed on every machine (xoshiro128**, Blackman and Vigna 2018). */
export interface Random {
  /** Uniform in [0, 1) with 32 bits. */
  next(): number
  /** Uniform integer in [0, bound). */
  below(bound: number): number
  /** Standard normal (Box–Muller). */
  normal(): number
  /** An independent stream named by `label`. */
  fork(label: string): Random
}

export function createRandom(seed: number): Random {
  let [a, b, c, d] = [0, 1, 2, 3].map(index => splitMix(seed + index * 0x9e3779b9))
  let spare: number | undefined
  const bits = () => {
    const scrambled = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return scrambled
  }
  const next = () => bits() / 4_294_967_296
  return {
    next,
    below: bound => Math.floor(next() * bound),
    normal: () => {
      if (spare !== undefined) {
        const value = spare
        spare = undefined
        return value
      }
      const radius = Math.sqrt(-2 * Math.log(1 - next()))
      const angle = 2 * Math.PI * next()
      spare = radius * Math.sin(angle)
      return radius * Math.cos(angle)
    },
    fork: label => createRandom(fnv1a(`${seed}/${label}`)),
  }
}

/** FNV-1a, 32 bits, over the UTF-8 bytes of `text`; the split hash of the protocols. */
export function fnv1a(text: string): number {
  let hash = FNV_BASIS
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 127) return ofBytes(text)
    hash = Math.imul(hash ^ code, FNV_PRIME)
  }
  return hash >>> 0
}

const FNV_BASIS = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** Text beyond ASCII has to be encoded, which costs more than the hash itself. */
function ofBytes(text: string): number {
  let hash = FNV_BASIS
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, FNV_PRIME)
  return hash >>> 0
}

function splitMix(state: number): number {
  let z = (state + 0x9e3779b9) | 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
