import { spawnSync } from 'node:child_process'
import { expect, test } from '@jest/globals'
import { codeOf } from '../../src/algorithms/ctr/hashing.js'
import { Arena, loadKernels } from '../../src/algorithms/math/kernels.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { createCrew } from '../../src/algorithms/math/threads.js'

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

test('arenas that nobody has any more leave the memory, also that of threads which worked on them', () => {
  const script = `
    import { Arena } from './dist/src/algorithms/math/kernels.js'
    import { createCrew } from './dist/src/algorithms/math/threads.js'
    const memory = () => process.memoryUsage().rss / 2 ** 20
    for (let round = 0; round < 24; round++) {
      const arena = new Arena()
      const crew = createCrew('als', arena, 2)
      const factors = arena.f32(16 * 2 ** 20).fill(1)
      crew.run('gram', 1_000, factors.byteOffset, 4, arena.f32(16).byteOffset, 1_000)
      if (round === 0) console.log(memory())
      crew.close()
    }
    while (memory() > 768) await new Promise(done => setTimeout(done, 10))`
  // 24 of them are 1,536 MiB.
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  expect([stderr, status]).toEqual(['', 0])
  expect(Number(stdout)).toBeGreaterThan(64)
})

test.each([1, 2])('trees: codes, the two halves of a partition and sums in slices are those of plain loops, on %i threads', threads => {
  const random = createRandom(3)
  for (const rows of [1, 3, 7, 5_000, 20_001]) {
    const arena = new Arena()
    const crew = createCrew('trees', arena, threads)
    const cutsOfColumns = [[], [-0.5, 0, 0.25]]
    const starts = arena.i32(3)
    starts.set([0, 2, 7])
    const cutStarts = arena.i32(3)
    cutStarts.set([0, 0, 3])
    const cuts = arena.f64(3)
    cuts.set(cutsOfColumns[1])
    const values = arena.f32(2 * rows)
    for (let at = 0; at < 2 * rows; at++) values[at] = random.next() < 0.1 ? Number.NaN : random.next() < 0.2 ? 0 : random.next() - 0.5
    const [codes, byColumn] = [0, 1].map(() => {
      const { buffer, byteOffset } = arena.u8(4 * rows)
      return new Uint16Array(buffer, byteOffset, 2 * rows)
    })
    const target = [starts, codes, byColumn].map(({ byteOffset }) => byteOffset)
    crew.run('encode', values.byteOffset, rows, 2, cuts.byteOffset, cutStarts.byteOffset, ...target)
    for (let row = 0; row < rows; row++)
      for (const column of [0, 1]) {
        const code = starts[column] + codeOf(Float64Array.from(cutsOfColumns[column]), values[2 * row + column])
        expect([codes[2 * row + column], byColumn[column * rows + row]]).toEqual([code, code])
      }

    const [order, other, lefts] = [arena.i32(rows), arena.i32(rows), arena.i32(4)]
    order.set(Array.from({ length: rows }, (_, at) => (at * 7_919) % rows))
    const before = [...order]
    const from = Math.min(1, rows - 1)
    const place = [other.byteOffset, lefts.byteOffset, 4]
    crew.run('partition', byColumn.byteOffset + 2 * rows, order.byteOffset, from, rows, 3, 6, 1, ...place)
    crew.run('settle', order.byteOffset, from, rows, ...place)
    const isLeft = (row: number) => byColumn[rows + row] <= 3 || byColumn[rows + row] === 6
    const asked = before.slice(from)
    expect([...order]).toEqual([...before.slice(0, from), ...asked.filter(isLeft), ...asked.filter(row => !isLeft(row))])
    expect(lefts.reduce((sum, count) => sum + count, 0)).toBe(asked.filter(isLeft).length)

    const gh = arena.f32(2 * rows)
    for (let at = 0; at < 2 * rows; at++) gh[at] = Math.fround(random.next())
    const [hist, more] = [arena.f64(14).fill(9), arena.f64(3 * 14).fill(9)]
    crew.run('build', codes.byteOffset, 2, order.byteOffset, from, rows, gh.byteOffset, hist.byteOffset, more.byteOffset, 7, 4)
    const sums = new Float64Array(14)
    for (const row of asked)
      for (const column of [0, 1]) for (const half of [0, 1]) sums[2 * codes[2 * row + column] + half] += gh[2 * row + half]
    sums.forEach((sum, at) => {
      expect(hist[at] + more[at] + more[14 + at] + more[28 + at]).toBeCloseTo(sum, 6)
    })
    crew.close()
  }
})
