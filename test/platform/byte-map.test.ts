import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ByteMap } from '../../src/platform/byte-map.js'

test('has what a Map has, whatever the keys, wherever they lie, however many there are', () => {
  const key = fc.oneof(fc.string({ unit: 'binary', maxLength: 4 }), fc.nat(1_999).map(String))
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.integer()), { maxLength: 2_500, size: 'max' }), entries => {
      const [ours, theirs] = [new ByteMap(), new Map<string, number>()]
      for (const [text, value] of entries) {
        const bytes = Buffer.from(`<${text}>`)
        expect(ours.set(value, bytes, 1, bytes.length - 1)).toBe(!theirs.has(Buffer.from(text).toString('latin1')))
        theirs.set(Buffer.from(text).toString('latin1'), value)
      }
      expect(ours.size).toBe(theirs.size)
      for (const [text, value] of theirs) expect(ours.get(Buffer.from(text, 'latin1'))).toBe(value)
      for (const [text] of entries) {
        const stranger = Buffer.from(`${text}-`)
        expect(ours.get(stranger)).toBe(theirs.get(stranger.toString('latin1')))
      }
      ours.clear()
      expect([ours.size, ...entries.map(([text]) => ours.get(Buffer.from(text)))]).toEqual([0, ...entries.map(() => undefined)])
    }),
    { numRuns: 8 },
  )
})
