import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { OnnxFiles } from '../../../src/algorithms/text/onnx-classifier.js'
import { packFiles } from '../../../src/algorithms/text/own-model.js'
import { SENTIMENTS } from '../../../src/reviews/text.task.js'
import { startTestApp, type TestApp } from '../../support/app.js'
import { embeddingModel, tokenizer } from '../../support/onnx.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

// Words that no list knows. Columns: negative, neutral, positive.
const WORDS = ['[UNK]', 'glorp', 'zing', 'blarg', 'fnord', 'parcel', 'the']
const ownTokenizer = { ...tokenizer, model: { ...tokenizer.model, vocab: Object.fromEntries(WORDS.map((word, at) => [word, at])) } }
const MOODS = [
  [0, 0, 0],
  [-2, 0, 3],
  [-2, 0, 3],
  [3, 0, -2],
  [3, 0, -2],
  [0, 2, 0],
  [0, 0.5, 0],
]
const files: OnnxFiles = { model: embeddingModel(MOODS, true, 'logits'), tokenizer: ownTokenizer, labels: [...SENTIMENTS] }

const register = async (task: string, body: Uint8Array, kind: 'admin' | 'chatbot' = 'admin') => {
  const response = await fetch(`${house.url}/v1/text-models/${task}?name=mine`, {
    method: 'POST',
    headers: { authorization: `Bearer ${house.keys[kind]}`, 'content-type': 'application/octet-stream' },
    body: body as unknown as BodyInit,
  })
  return { status: response.status, body: (await response.json()) as { error?: string; name?: string; task?: string } }
}
const analyse = async (text: string) => {
  const { data } = await house
    .as('marketer')
    .run('query($t: String!) { textAnalyse(text: $t) { servedBy sentiment { label confidence } } }', {
      t: text,
    })
  return (data as unknown as { textAnalyse: { servedBy: string; sentiment: { label: string } } }).textAnalyse
}

test('files that cannot judge the task are refused by name, and so is a key without the scope', async () => {
  expect(await register('SENTIMENT', new Uint8Array([1, 2, 3]))).toMatchObject({
    status: 400,
    body: { error: expect.stringMatching(/artifact/) },
  })
  const noModel = packFiles({ ...files, model: new Uint8Array([1, 2, 3]) })
  expect(await register('SENTIMENT', noModel)).toMatchObject({ status: 400, body: { error: expect.stringMatching(/no ONNX model/) } })
  const twoLabels = packFiles({ ...files, labels: ['NEGATIVE', 'MEH', 'POSITIVE'] })
  expect(await register('SENTIMENT', twoLabels)).toMatchObject({ status: 400, body: { error: expect.stringMatching(/NEUTRAL/) } })
  expect(await register('CHURN', packFiles(files))).toMatchObject({ status: 400, body: { error: expect.stringMatching(/CHURN/) } })
  expect((await register('SENTIMENT', packFiles(files), 'chatbot')).status).toBe(403)
  await expect(house.app.trainer.train({ task: 'SENTIMENT', algorithm: 'onnx' })).resolves.toMatchObject({ models: [] })
})

test('a model of the shop is trained, guarded, approved and served like any other, and reads the reviews', async () => {
  const words = ['glorp', 'zing', 'blarg', 'fnord', 'parcel']
  const said = ['the glorp parcel', 'zing', 'blarg parcel the', 'fnord', 'the parcel']
  await house.app.database.sql(
    `INSERT INTO "Review" (id, text, rating, locale, "createdAt")
     SELECT gen_random_uuid()::text, text || ' ' || n, CASE (n % 5) WHEN 0 THEN 5 WHEN 1 THEN 4 WHEN 2 THEN 1 WHEN 3 THEN 2 ELSE 3 END, 'en', now() - n * interval '1 minute'
     FROM generate_series(0, 299) n, LATERAL (SELECT ($1::text[])[n % 5 + 1] AS text) said`,
    [said],
  )
  await house.app.reviews.readPending()
  // Without files all the others are trained, and this one is asked for in vain.
  await expect(house.app.trainer.train({ task: 'SENTIMENT', algorithm: 'onnx' })).rejects.toThrow(/model:register/)
  expect(await register('sentiment', packFiles(files))).toMatchObject({ status: 200, body: { task: 'SENTIMENT', name: 'mine' } })
  const { models } = await house.app.trainer.train({ task: 'SENTIMENT', algorithm: 'onnx' })
  expect(models).toMatchObject([{ algorithm: 'onnx', status: 'CANDIDATE', metrics: { accuracy: 1 } }])
  expect((await analyse('glorp')).servedBy).not.toContain('onnx')
  await house.app.approver.approveByConfiguration(models, 'a test')
  await house.app.liveModels.look()
  expect(await analyse('fnord')).toMatchObject({ servedBy: 'onnx v1', sentiment: { label: 'NEGATIVE' } })
  // Other files are registered; what was approved answers from its own.
  const turned = packFiles({
    ...files,
    model: embeddingModel(
      MOODS.map(row => row.map(value => -value)),
      true,
      'logits',
    ),
  })
  expect((await register('SENTIMENT', turned)).status).toBe(200)
  expect(await analyse('fnord')).toMatchObject({ sentiment: { label: 'NEGATIVE' } })
  await house.app.reviews.readAgain()
  await house.app.reviews.readPending()
  for (const [at, word] of words.entries()) {
    const { data } = await house
      .as('marketer')
      .run('query($s: String!) { reviews(first: 1, where: { search: $s }) { nodes { sentiment { label } } } }', {
        s: word,
      })
    const label = at < 2 ? 'POSITIVE' : at < 4 ? 'NEGATIVE' : expect.any(String)
    expect(data).toMatchObject({ reviews: { nodes: [{ sentiment: { label } }] } })
  }
}, 60_000)
