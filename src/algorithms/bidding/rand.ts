import { explained, limitsOf, type Strategy } from './strategy.js'

/** A whole bid drawn evenly from 0 to the highest. The draw is a hash of the seed and the auction's number, so that asking twice answers alike. */
export const rand: Strategy = {
  name: 'rand',
  about: 'A random bid up to the highest',
  needs: ['baseBidMicros'],
  prepare: (settings, _market, random) => {
    const highest = settings.baseBidMicros as number
    const seed = random.below(2 ** 32)
    const draw = (auction: number) => Math.floor(hash(seed, auction) * (highest + 1))
    return {
      shades: false,
      ...limitsOf(settings),
      quote: ({ remainingAuctions, multiplier }) => draw(remainingAuctions) * multiplier,
      explain: seen => explained(seen, draw(seen.remainingAuctions), `one of 0 to ${highest}`, seen.multiplier, 'chance'),
    }
  },
}

/** In [0, 1): the finaliser of MurmurHash3. */
function hash(seed: number, number: number): number {
  let bits = Math.imul(number ^ seed, 0x9e3779b1) ^ seed
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return ((bits ^ (bits >>> 16)) >>> 0) / 4_294_967_296
}
