import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { serverAudits } from 'graphql-http'
import { startTestApp, type TestApp } from '../support/app.js'

// The GraphQL-over-HTTP specification, as graphql-http checks it: every MUST, SHOULD and MAY.
let house: TestApp
beforeAll(async () => {
  house = await startTestApp({ introspection: true })
}, 60_000)
afterAll(() => house.close())

const audits = serverAudits({
  url: () => `${house.url}/graphql`,
  fetchFn: (url: string, init: RequestInit = {}) =>
    // A GET and a form of HTML look alike to a browser, so our CSRF prevention asks for a header that only scripts can set.
    fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), 'apollo-require-preflight': 'audit' } }),
})

describe('over HTTP the server', () => {
  test('is asked every question of the audit', () => expect(audits.length).toBeGreaterThanOrEqual(61))

  test.each(audits.map(audit => [audit.id, audit.name, audit] as const))('%s %s', async (_id, _name, audit) => {
    const result = await audit.fn()
    const { status, reason } = { reason: undefined, ...result }
    expect({ status, reason }).toEqual({ status: 'ok', reason: undefined })
  })
})
