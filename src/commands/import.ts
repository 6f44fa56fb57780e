// npm run import -- <kind> <file> [--mapping '{…}'] [--zone Z] [--url …] [--key …]: uploads a file and waits until it is merged.
import { accessSync, constants, createReadStream, createWriteStream, existsSync, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Config, ConfigError, keysFile, readConfig, urlFile } from '../config.js'
import { messageOf } from '../platform/errors.js'

interface Status {
  state: string
  rowsRead: number
  rowsMerged: number
  rowsDuplicate: number
  rowsRejected: number
  unread: string[]
}

try {
  await run()
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.faults.join('\n') : messageOf(error)}\n`)
  process.exit(1)
}

async function run() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      key: { type: 'string' },
      mapping: { type: 'string' },
      zone: { type: 'string' },
      format: { type: 'string' },
    },
  })
  const [kind, file] = positionals
  if (!kind || !file)
    throw new Error(
      'Usage: npm run import -- <users|products|events|reviews|posts|ad-log> <file> [--mapping \'{"userId":"CustomerID"}\'] [--zone Z] [--url URL] [--key KEY]',
    )
  checkFile(file)
  const config = readConfig(process.env)
  const url = (values.url ?? addressOf(config)).replace(/\/+$/, '')
  const key = values.key ?? ingestKey(keysFile(config))
  const name = basename(file).toLowerCase()
  const isGzip = name.endsWith('.gz')
  const format = values.format ?? (/\.csv(\.gz)?$/.test(name) ? 'csv' : 'ndjson')
  const query = new URLSearchParams({
    format,
    ...(values.mapping ? { mapping: values.mapping } : {}),
    ...(values.zone ? { zone: values.zone } : {}),
  })
  const headers: Record<string, string> = {
    authorization: `Bearer ${key}`,
    'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson',
    ...(isGzip ? { 'content-encoding': 'gzip' } : {}),
  }
  const startedAt = performance.now()
  const upload = { method: 'POST', headers, body: Readable.toWeb(counted(file)), duplex: 'half' }
  const response = await fetch(`${url}/v1/import/${kind}?${query}`, upload as unknown as RequestInit).catch(error => {
    throw new Error(`Nothing answers at ${url}; is the platform running (npm start)? ${messageOf((error as Error).cause ?? error)}`)
  })
  const answer = (await response.json()) as { jobId?: string; error?: string }
  if (!answer.jobId) throw new Error(`The import was refused: ${answer.error}`)
  const status = await watch(url, headers.authorization, answer.jobId)
  say('')
  const seconds = (performance.now() - startedAt) / 1000
  process.stdout.write(
    `${status.rowsMerged} of ${status.rowsRead} rows merged in ${seconds.toFixed(1)} s, ${status.rowsDuplicate} duplicates, ${status.rowsRejected} rejected (job ${answer.jobId})\n`,
  )
  if (status.unread.length > 0) process.stdout.write(`Nothing reads ${status.unread.map(name => JSON.stringify(name)).join(', ')} in it\n`)
  if (status.rowsRejected > 0) await keepRejects(url, headers.authorization, answer.jobId, `${file}.rejects.${format}`)
  if (status.state !== 'COMPLETED') process.exitCode = 1
}

function checkFile(file: string) {
  if (!existsSync(file)) throw new Error(`There is no file ${file}`)
  if (statSync(file).isDirectory()) throw new Error(`${file} is a folder; name one of its files`)
  try {
    accessSync(file, constants.R_OK)
  } catch (error) {
    throw new Error(`${file} cannot be read: ${messageOf(error)}`)
  }
}

/** Where the platform of this home listens: on PORT, or on the port it took because nobody named one. */
function addressOf(config: Config): string {
  const file = urlFile(config)
  return !config.portIsFixed && existsSync(file) ? readFileSync(file, 'utf8').trim() : `http://127.0.0.1:${config.port}`
}

function counted(file: string) {
  const size = statSync(file).size
  let sent = 0
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sent += chunk.length
      say(`Uploading ${Math.floor((100 * sent) / size)} %`)
      done(null, chunk)
    },
  })
  return createReadStream(file).pipe(counter)
}

async function watch(url: string, authorization: string, jobId: string): Promise<Status> {
  for (;;) {
    const status = (await (await fetch(`${url}/v1/import/${jobId}`, { headers: { authorization } })).json()) as Status
    const body = JSON.stringify({
      query: 'query($id: ID!) { job(id: $id) { state message error } }',
      variables: { id: jobId },
    })
    const answer = (await (
      await fetch(`${url}/graphql`, { method: 'POST', headers: { authorization, 'content-type': 'application/json' }, body })
    ).json()) as { data?: { job?: { state: string; message: string | null; error: string | null } } }
    const job = answer.data?.job
    say(job?.message ?? status.state.toLowerCase())
    if (job?.state === 'FAILED' || job?.state === 'CANCELLED')
      throw new Error(`\nThe import ${job.state === 'FAILED' ? `failed: ${job.error}` : 'was cancelled'}`)
    if (['COMPLETED', 'FAILED', 'CANCELLED'].includes(status.state)) return status
    await sleep(300)
  }
}

async function keepRejects(url: string, authorization: string, jobId: string, file: string) {
  const response = await fetch(`${url}/v1/import/${jobId}/rejects`, { headers: { authorization } })
  await pipeline(Readable.fromWeb(response.body as never), createWriteStream(file))
  process.stdout.write(`The rejected rows are in ${file}; fix them there and send that file\n`)
}

function ingestKey(file: string): string {
  if (!existsSync(file)) throw new Error(`There is no ${file}; start the platform (npm start), or give --url and --key`)
  return JSON.parse(readFileSync(file, 'utf8')).ingest
}

function say(text: string) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}
