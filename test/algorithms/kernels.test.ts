import { expect, test } from '@jest/globals'
import { Arena, loadKernels } from '../../src/algorithms/math/kernels.js'
import { createRandom } from '../../src/algorithms/math/random.js'

interface Vector {
  dot(a: number, b: number, n: number): number
  axpy(c: number, x: number, y: number, n: number): void
}

test('dot and axpy agree with their plain loops at every length', () => {
  const arena = new Arena()
  const vector = loadKernels<Vector>('vector', arena)
  const random = createRandom(1)
  for (let n = 0; n < 70; n++) {
    arena.release()
    const [a, b] = [arena.f32(n), arena.f32(n)]
    for (let i = 0; i < n; i++) [a[i], b[i]] = [random.next() - 0.5, random.next() - 0.5]
    const sum = a.reduce((total, value, i) => total + value * b[i], 0)
    expect(vector.dot(a.byteOffset, b.byteOffset, n)).toBeCloseTo(sum, 5)
    const expected = b.map((value, i) => value + Math.fround(0.3) * a[i])
    vector.axpy(0.3, a.byteOffset, b.byteOffset, n)
    for (let i = 0; i < n; i++) expect(b[i]).toBeCloseTo(expected[i], 6)
  }
})

test('an arena grows, keeps what was written, and gives memory back to its mark', () => {
  const arena = new Arena()
  const first = arena.f64(10).fill(7)
  const mark = arena.mark()
  const large = arena.f32(1_000_000).fill(1)
  expect(first[9]).toBe(7)
  expect(large[999_999]).toBe(1)
  arena.release(mark)
  expect(arena.i32(1).byteOffset).toBe(mark)
})
