import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createPool, type Pool } from '../../src/platform/pool.js'

/** Functions that a family might export, of which some end their thread. */
const FAMILY = `
import { existsSync, writeFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
let opened = 0
export const add = more => { opened++; return number => ({ sum: number + more, opened, threadId }) }
export const dieOnce = flag => word => {
  if (word === 'die' && !existsSync(flag)) { writeFileSync(flag, ''); process.exit(1) }
  return word + '!'
}
export const alwaysDie = () => word => (word === 'die' ? process.exit(1) : word)
export const refuse = () => { throw new RangeError('broken') }
export const fail = () => word => { if (word === 'wrong') throw new RangeError('wrong word'); return word }
export const slow = () => ms => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms); return ms }
`

let root: string
let pool: Pool
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bellwether pool '))
  await mkdir(join(root, 'dist/src/platform'), { recursive: true })
  await mkdir(join(root, 'dist/src/algorithms/fake'), { recursive: true })
  await cp('dist/src/platform/pool-worker.js', join(root, 'dist/src/platform/pool-worker.js'))
  await writeFile(join(root, 'dist/src/algorithms/fake/index.js'), FAMILY)
  await writeFile(join(root, 'package.json'), '{"type":"module"}')
  await symlink(resolve('node_modules'), join(root, 'node_modules'))
  pool = createPool(2, root)
})
afterAll(async () => {
  await pool.close()
  await rm(root, { recursive: true })
})

const keep = <Question, Answer>(name: string, ...args: unknown[]) => pool.keep<Question, Answer>({ family: 'fake', function: name, args })

test('a kept thread is opened once and gives each question its own answer', async () => {
  const { ask, close } = await keep<number, { sum: number; opened: number; threadId: number }>('add', 10)
  const answers = await Promise.all(Array.from({ length: 600 }, (_, at) => ask(at)))
  expect(answers.map(({ sum }) => sum)).toEqual(Array.from({ length: 600 }, (_, at) => at + 10))
  expect(new Set(answers.map(({ opened, threadId }) => `${opened} ${threadId > 0}`))).toEqual(new Set(['1 true']))
  const other = await keep<number, { sum: number; threadId: number }>('add', 20)
  const [mine, its] = await Promise.all([ask(1), other.ask(1)])
  expect([mine.sum, its.sum]).toEqual([11, 21])
  expect(its.threadId).not.toBe(mine.threadId)
  await Promise.all([close(), other.close()])
})

test('questions after a thread that died are answered by the one that takes its place', async () => {
  const { ask, close } = await keep<string, string>('dieOnce', join(root, 'died'))
  expect(await ask('one')).toBe('one!')
  expect(await Promise.all([ask('die'), ask('two')])).toEqual(['die!', 'two!'])
  expect(await ask('three')).toBe('three!')
  await close()
})

test('what ends every thread is unavailable, and the next question is not', async () => {
  const { ask, close } = await keep<string, string>('alwaysDie')
  await expect(ask('die')).rejects.toThrow('A worker thread died while it ran fake.alwaysDie')
  expect(await ask('live')).toBe('live')
  await close()
})

test('what cannot be opened or answered says so', async () => {
  await expect(keep('refuse')).rejects.toThrow('broken')
  await expect(keep('nothing')).rejects.toThrow('exports no function nothing')
  await expect(pool.keep({ family: '../text', function: 'add', args: [] })).rejects.toThrow('is no family')
  const { ask, close } = await keep<string, string>('fail')
  await expect(ask('wrong')).rejects.toThrow('wrong word')
  expect(await ask('right')).toBe('right')
  await close()
})

test('closing waits for what was asked, and for what gathered meanwhile', async () => {
  const { ask, close } = await keep<number, number>('slow')
  const first = ask(300)
  await new Promise(setImmediate)
  const second = ask(1)
  await close()
  expect(await Promise.all([first, second])).toEqual([300, 1])
})
