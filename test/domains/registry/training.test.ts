import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startTestApp, type TestApp } from '../../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

test('a dry run of a training says what it would teach and with what, and makes no job', async () => {
  const { data } = await house
    .as('marketer')
    .run(
      'mutation { modelTrain(input: { task: RECOMMENDATION, algorithm: "ease", params: { reg: 7 }, dryRun: true }) { job { id } preview userErrors { message } } }',
    )
  expect(data).toEqual({
    modelTrain: {
      job: null,
      userErrors: [],
      preview: {
        task: 'RECOMMENDATION',
        baseline: 'popularity',
        minimumRows: expect.any(Number),
        algorithms: [{ name: 'ease', params: expect.objectContaining({ reg: 7 }) }],
      },
    },
  })
  expect(await house.app.jobStore.count()).toBe(0)
})

test('a dry run of a training that cannot be is refused as the training would be', async () => {
  const { data } = await house
    .as('marketer')
    .run('mutation { modelTrain(input: { task: RECOMMENDATION, algorithm: "magic", dryRun: true }) { preview userErrors { code field } } }')
  expect(data).toEqual({ modelTrain: { preview: null, userErrors: [{ code: 'INVALID', field: ['algorithm'] }] } })
})

test.each([
  ['{ factors: -5 }', 'factors must be a whole number from 1 to 1024, not -5'],
  ['{ factors: 100000000 }', 'factors must be a whole number from 1 to 1024, not 100000000'],
  ['{ epochs: 2.5 }', 'epochs must be a whole number from 1 to 1000, not 2.5'],
  ['{ reg: -1 }', 'reg must be a finite number that is not negative, not -1'],
])('parameters that make no sense are refused before a job is made: %s', async (params, message) => {
  const { data } = await house
    .as('marketer')
    .run(
      `mutation { modelTrain(input: { task: RECOMMENDATION, algorithm: "ials", params: ${params} }) { job { id } userErrors { code field message } } }`,
    )
  expect(data).toEqual({
    modelTrain: { job: null, userErrors: [{ code: 'INVALID', field: ['params', params.slice(2).split(':')[0]], message }] },
  })
})

test('the defaults of every algorithm may also be asked for', () => {
  for (const { name: task, algorithms } of house.app.tasks.values())
    for (const { name: algorithm, defaults } of algorithms.slice(1))
      expect(() => house.app.trainer.check({ task, algorithm, params: { ...defaults } })).not.toThrow()
})
