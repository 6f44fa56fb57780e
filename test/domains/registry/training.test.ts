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
