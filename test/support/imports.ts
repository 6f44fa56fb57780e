import { eventually, type TestApp } from './app.js'

export interface ImportStatus {
  jobId: string
  state: string
  rowsRead: number
  rowsMerged: number
  rowsDuplicate: number
  rowsRejected: number
  unread: string[]
}

export interface Upload {
  format?: 'csv' | 'ndjson'
  headers?: Record<string, string>
  query?: Record<string, string>
  key?: string
}

/** POST /v1/import/{kind} as it is answered. */
export async function upload(house: TestApp, kind: string, body: BodyInit | AsyncIterable<Uint8Array>, options: Upload = {}) {
  const { format = 'csv', headers = {}, query = {}, key = house.keys.ingest } = options
  const response = await fetch(`${house.url}/v1/import/${kind}?${new URLSearchParams(query)}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson', ...headers },
    body: body as BodyInit,
    duplex: 'half',
  } as RequestInit)
  return { status: response.status, body: (await response.json()) as { jobId: string; error?: string; code?: string; field?: string[] } }
}

/** Uploads and waits for the job; every row is accounted for. */
export async function imported(
  house: TestApp,
  kind: string,
  body: BodyInit | AsyncIterable<Uint8Array>,
  options: Upload = {},
): Promise<ImportStatus> {
  const { status, body: answer } = await upload(house, kind, body, options)
  if (status !== 202) throw new Error(`The upload was answered by ${status}: ${answer.error}`)
  const done = await finished(house, answer.jobId)
  if (done.state !== 'COMPLETED' || done.rowsRead !== done.rowsMerged + done.rowsDuplicate + done.rowsRejected)
    throw new Error(`The import is not whole: ${JSON.stringify(done)}`)
  return done
}

export function finished(house: TestApp, jobId: string, milliseconds = 240_000): Promise<ImportStatus> {
  return eventually(async () => {
    const response = await fetch(`${house.url}/v1/import/${jobId}`, { headers: { authorization: `Bearer ${house.keys.ingest}` } })
    const status = (await response.json()) as ImportStatus
    return ['COMPLETED', 'FAILED', 'CANCELLED'].includes(status.state) && status
  }, milliseconds)
}

/** The reject file of an import. */
export async function rejects(house: TestApp, jobId: string): Promise<string> {
  const response = await fetch(`${house.url}/v1/import/${jobId}/rejects`, { headers: { authorization: `Bearer ${house.keys.ingest}` } })
  return response.text()
}
