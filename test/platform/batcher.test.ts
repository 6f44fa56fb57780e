import { expect, test } from '@jest/globals'
import { createBatcher } from '../../src/platform/batcher.js'

/** Loads that end when they are told to. */
function loads() {
  const batches: number[][] = []
  const ends: ((values?: string[]) => void)[] = []
  const load = (keys: number[]) =>
    new Promise<string[]>((done, failed) => {
      batches.push(keys)
      ends.push(values => (values ? done(values) : failed(new Error(`no ${keys.join()}`))))
    })
  const end = async (at: number) => {
    ends[at](batches[at].map(key => `value ${key}`))
    await turn()
  }
  return { batches, ends, load, end }
}
const turn = () => new Promise(done => setImmediate(done))

test('calls of one turn share a load, later ones gather for the next', async () => {
  const { batches, load, end } = loads()
  const look = createBatcher(load)
  const answers = [look(1), look(2), look(1)]
  await turn()
  answers.push(look(3))
  await turn()
  answers.push(look(4))
  expect(batches).toEqual([[1, 2, 1]])
  await end(0)
  expect(batches).toEqual([
    [1, 2, 1],
    [3, 4],
  ])
  await end(1)
  expect(await Promise.all(answers)).toEqual(['value 1', 'value 2', 'value 1', 'value 3', 'value 4'])
})

test('two lanes have two loads under way, whichever ends first', async () => {
  const { batches, load, end } = loads()
  const look = createBatcher(load, { lanes: 2 })
  const answers = [look(1), look(2)]
  await turn()
  answers.push(look(3))
  await turn()
  answers.push(look(4))
  await turn()
  answers.push(look(5))
  await turn()
  expect(batches).toEqual([[1, 2], [3]])
  await end(1)
  expect(batches).toEqual([[1, 2], [3], [4, 5]])
  await end(2)
  await end(0)
  expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5].map(key => `value ${key}`))
  answers.push(look(6))
  await turn()
  await end(3)
  expect(await answers[5]).toBe('value 6')
})

test('a second lane opens for as many as make it worthwhile, and what is less waits for the first', async () => {
  const { batches, load, end } = loads()
  const look = createBatcher(load, { lanes: 2, worthwhile: 3 })
  const answers = [look(1)]
  await turn()
  answers.push(look(2), look(3))
  await turn()
  expect(batches).toEqual([[1]])
  answers.push(look(4))
  await turn()
  expect(batches).toEqual([[1], [2, 3, 4]])
  answers.push(look(5))
  await end(0)
  expect(batches.length).toBe(2)
  await end(1)
  expect(batches).toEqual([[1], [2, 3, 4], [5]])
  await end(2)
  expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5].map(key => `value ${key}`))
})

test('a load that fails fails for its own calls only', async () => {
  const { batches, ends, load, end } = loads()
  const look = createBatcher(load, { largestBatch: 2 })
  const answers = [look(1), look(2), look(3)].map(answer => answer.catch((error: Error) => error.message))
  await turn()
  ends[0]()
  await turn()
  expect(batches).toEqual([[1, 2], [3]])
  await end(1)
  expect(await Promise.all(answers)).toEqual(['no 1,2', 'no 1,2', 'value 3'])
})
