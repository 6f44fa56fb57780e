import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startTestApp, type TestApp } from '../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

async function send(path: string, { body, type, method = 'POST' }: { body?: string; type?: string; method?: string }) {
  const response = await fetch(`${house.url}${path}`, {
    method,
    body,
    headers: { authorization: `Bearer ${house.keys.ingest}`, ...(type === undefined ? {} : { 'content-type': type }) },
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

describe('a door that cannot answer says so by sentence, code and request id', () => {
  const big = `"${'x'.repeat(5_000_000)}"`
  test.each([
    ['nothing there', '/v1/nothing', { type: 'application/json', body: '{}' }, 404, 'NOT_FOUND', 'There is nothing at POST /v1/nothing'],
    ['an unknown kind of import', '/v1/import/orders', { type: 'text/csv', body: 'a' }, 404, 'NOT_FOUND', /no kind of import "orders"/],
    ['an unknown import', '/v1/import/none', { method: 'GET' }, 404, 'NOT_FOUND', 'No import has this job'],
    ['a path that is none', '/v1/import/%zz', { method: 'GET' }, 400, 'BAD_REQUEST', /not a valid url/],
    ['a large body', '/v1/track', { type: 'application/json', body: big }, 413, 'BAD_REQUEST', /too large: 4096 kB are the most here/],
    [
      'a type that is none',
      '/v1/track',
      { type: 'json', body: '{}' },
      415,
      'BAD_REQUEST',
      /"json" is not taken here; send application\/json/,
    ],
    [
      'a file of a type that is none',
      '/v1/import/events',
      { type: 'csv', body: 'a' },
      415,
      'BAD_REQUEST',
      /"csv" .* text\/csv or application/,
    ],
  ])('%s', async (_, path, request, status, code, error) => {
    const answer = await send(path, request)
    expect(answer).toEqual({
      status,
      body: expect.objectContaining({ code, error: expect.stringMatching(error), requestId: expect.any(String) }),
    })
  })
})

describe('what breaks off, or is no HTTP, is told why', () => {
  const exchange = (text: string) =>
    new Promise<string>(done => {
      let answer = ''
      const socket = connect(Number(new URL(house.url).port), '127.0.0.1', () => socket.end(text))
      socket.on('data', chunk => (answer += chunk))
      socket.on('close', () => done(answer))
    })
  const upload = () =>
    `POST /v1/import/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${house.keys.ingest}\r\ncontent-type: text/csv\r\n`
  test.each([
    [
      'an upload that is shorter than it said',
      () => `${upload()}content-length: 900\r\n\r\na,b\n1,2\n`,
      400,
      /broke off before its end; nothing of it was kept/,
    ],
    [
      'an upload in pieces without an end',
      () => `${upload()}transfer-encoding: chunked\r\n\r\n4\r\na,b\n\r\n`,
      400,
      /broke off before its end/,
    ],
    ['no HTTP', () => 'hello\r\n\r\n', 400, /Parse Error/],
    ['endless headers', () => `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, /headers are too large/],
  ])('%s', async (_, text, status, error) => {
    const answer = await exchange(text())
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(JSON.parse(answer.split('\r\n\r\n')[1])).toEqual({ error: expect.stringMatching(error), code: 'BAD_REQUEST' })
    expect(await house.app.database.sql('SELECT 1 FROM "ImportChunk"')).toEqual([])
  })
})
