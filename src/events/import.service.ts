import { createHash } from 'node:crypto'
import type { Database } from '../platform/database.js'
import { InvalidInput, messageOf, NotFound } from '../platform/errors.js'
import type { Jobs } from '../platform/job-runner.js'
import type { JobContext } from '../platform/jobs.js'
import type { Signals } from '../platform/signals.js'
import { reportStage } from '../platform/stages.js'
import { v7 } from '../platform/uuid.js'
import { faultOf } from './event-rules.js'
import type { Settings } from './events.service.js'
import type { ImportOptions, ImportRepository, ImportRow } from './import.repository.js'
import type { Batch, BatchRows } from './import-batch.js'
import { IMPORT_KINDS, type ImportKind, type ImportRecord, isField } from './import-kinds.js'
import { type FileFormat, type FileRow, headerOf, type ReadRow, rejectLine, rowsOf, unpacked, unreadNames } from './import-rows.js'

export interface Upload {
  kind: string
  format: FileFormat
  options: ImportOptions
  by: string
}

const CHUNK_BYTES = 1024 * 1024
/** What is read at a stretch. */
const PIECE_BYTES = 32 * 1024
/** A batch of long rows is shorter, so that memory is the same for all. */
const BATCH_CHARACTERS = 16 * 1024 * 1024
const LONGEST_HEADER = 256 * 1024
const MOST_UNREAD = 20

/** Files of any length: stored as they come in, merged batch by batch by a job, exactly once. */
export class ImportService {
  constructor(
    private readonly imports: ImportRepository,
    private readonly jobs: Jobs,
    private readonly parts: { signals: Signals; database: Database; settings: Settings; now?: () => Date },
  ) {}

  /** Takes an upload; resolves with the job's id when every byte is committed. A stream that breaks off leaves nothing behind. */
  async receive({ kind: name, format, options, by }: Upload, body: AsyncIterable<Buffer>): Promise<{ jobId: string }> {
    const kind = kindNamed(name)
    checkMapping(kind, name, options)
    const id = v7()
    const hash = createHash('sha256')
    await this.imports.create({ id, kind: name, format, options, createdBy: by })
    let storing = Promise.resolve()
    try {
      let seq = 0
      let bytes = 0
      let header: string | undefined
      const keep = async (data: Buffer) => {
        if (seq === 0) checkStart(data, options.compression)
        if (seq === 0 && format === 'csv' && !options.compression) header = checkedHeader(kind, name, data, options)
        hash.update(data)
        bytes += data.length
        // The next piece comes in while this one is stored.
        await storing
        storing = this.imports.addChunk(id, seq++, data)
        storing.catch(() => {})
      }
      const stored = stepwise(chunked(body), keep)
      // A packed file is unpacked once while it comes in: what breaks off or has no good header is refused now, not after 202.
      if (options.compression) header = await checkedGzip(kind, name, stored, format, options)
      else for await (const _ of stored);
      await storing
      if (bytes === 0) throw new InvalidInput('The file is empty', {}, ['body'])
      const jobId = v7()
      await this.imports.complete(id, { bytes, jobId, contentHash: hash.digest('hex').slice(0, 24), header })
      await this.jobs.enqueue('import', { importId: id }, { id: jobId, createdBy: by })
      return { jobId }
    } catch (error) {
      await storing.catch(() => {})
      await this.imports.discard(id)
      throw error
    }
  }

  /** The job: merges what is not merged yet. A second attempt goes on where the first one's last committed batch ended. */
  async run(
    importId: string,
    { signal, progress }: Pick<JobContext, 'signal' | 'progress'>,
  ): Promise<{ message: string; result: Record<string, unknown> }> {
    const row = await this.imports.get(importId)
    if (!row) throw new NotFound('This import is gone', { importId })
    const kind = kindNamed(row.kind)
    const context = {
      now: this.parts.now?.() ?? new Date(),
      currency: this.parts.settings.currency,
      fileId: row.options.contentHash ?? importId,
    }
    const theirs = new Set(Object.values(row.options.mapping ?? {}))
    const names = unreadNames(row.format, name => theirs.has(name) || isField(kind, name), MOST_UNREAD)
    await this.imports.setState(importId, 'RUNNING')
    const startedAt = performance.now()
    try {
      const facts = { importId, kind, unknownReferences: this.parts.settings.unknownReferences }
      await this.imports.withMerge(facts, async merge => {
        let readTo = Number(row.rowsRead)
        const totals = { bytes: 0 }
        const report = async (batch: Batch) => {
          const seconds = (performance.now() - startedAt) / 1000
          const rate = Math.round((batch.readTo - Number(row.rowsRead)) / Math.max(seconds, 0.001))
          const share = Number(row.bytes) > 0 ? Math.min(1, totals.bytes / Number(row.bytes)) : 0
          const eta = share > 0 ? Math.round((seconds / share) * (1 - share)) : null
          await progress(share, `${batch.readTo} rows read, ${rate} rows/s${eta === null ? '' : `, ${eta} s to go`}`, {
            rowsRead: batch.readTo,
            rowsPerSecond: rate,
            etaSeconds: eta,
          })
        }
        for await (const batch of this.batches(row, kind.batches(context, row.format), readTo, totals, names.see)) {
          signal.throwIfAborted()
          await merge.add(batch, readTo, report)
          readTo = batch.readTo
        }
        await merge.end()
      })
    } catch (error) {
      if (signal.aborted && signal.reason?.constructor?.name === 'Cancelled') await this.imports.setState(importId, 'CANCELLED')
      else if (error instanceof InvalidInput) await this.imports.setState(importId, 'FAILED')
      // An attempt that follows may put it right; until then it stands there.
      if (!signal.aborted)
        await reportStage(this.parts.database, { stage: `import ${row.kind}`, state: 'failed', reason: messageOf(error) }).catch(() => {})
      throw error
    }
    await this.imports.keep(importId, { header: row.options.header, unread: names.unread })
    await this.imports.setState(importId, 'COMPLETED')
    await this.imports.dropChunks(importId)
    return this.outcome(importId, row.kind, startedAt)
  }

  /** What is known of an import, by its job. */
  async status(jobId: string): Promise<ImportRow & { error: string | null }> {
    const row = await this.imports.byJob(jobId)
    if (!row) throw new NotFound('No import has this job', { jobId })
    return row
  }

  /** The reject file, line by line, in the format of the upload. */
  async *rejectFile(row: ImportRow): AsyncGenerator<string> {
    if (row.format === 'csv') yield `${row.options.header ?? 'row'},_line,_reason\n`
    for await (const reject of this.imports.rejects(row.id)) yield rejectLine(row.format, reject)
  }

  /** Whether a file of this kind that came in the last `hours` is being merged. */
  isUnderWay(kind: string, hours: number): Promise<boolean> {
    return this.imports.isUnderWay(kind, hours)
  }

  discardAbandoned(hours: number): Promise<number> {
    return this.imports.discardAbandoned(hours)
  }

  private async outcome(importId: string, kind: string, startedAt: number) {
    const done = (await this.imports.get(importId)) as ImportRow
    const [read, merged, duplicate, rejected] = [done.rowsRead, done.rowsMerged, done.rowsDuplicate, done.rowsRejected].map(Number)
    await reportStage(this.parts.database, {
      stage: `import ${kind}`,
      state: rejected > 0 ? 'degraded' : 'ok',
      reason: rejected > 0 ? `${rejected} rows were rejected; the reject file says why` : null,
      rowsIn: Math.min(read, 2 ** 31 - 1),
      rowsOut: Math.min(merged, 2 ** 31 - 1),
    })
    if (kind === 'products') await this.parts.signals.announce('catalogue.changed', { productIds: [] })
    if (kind === 'events') await this.parts.signals.announce('events.ingested', { count: merged })
    const seconds = (performance.now() - startedAt) / 1000
    const { unread = [] } = done.options
    const notice = unread.length > 0 ? `; nothing reads ${unread.map(name => JSON.stringify(name)).join(', ')}` : ''
    return {
      message: `Imported ${merged} ${kind} of ${read} rows in ${seconds.toFixed(1)} s; ${duplicate} duplicates, ${rejected} rejected${notice}`,
      result: {
        kind,
        rowsRead: read,
        rowsMerged: merged,
        rowsDuplicate: duplicate,
        rowsRejected: rejected,
        unread,
        rowsPerSecond: Math.round(read / Math.max(seconds, 0.001)),
      },
    }
  }

  private async *batches(
    row: ImportRow,
    rowsOfBatch: () => BatchRows,
    skip: number,
    totals: { bytes: number },
    see: (record: ImportRecord) => void,
  ): AsyncGenerator<Batch> {
    const { mapping, zone, compression } = row.options
    const rename = renamer(mapping, zone)
    let read = 0
    let batch = openBatch(rowsOfBatch(), skip)
    const counted = async function* (bytes: AsyncIterable<Buffer>) {
      for await (const chunk of bytes) {
        for (let from = 0; from < chunk.length; from += PIECE_BYTES) {
          const piece = chunk.subarray(from, from + PIECE_BYTES)
          totals.bytes += piece.length
          yield piece
        }
      }
    }
    for await (const rows of rowsOf(counted(this.imports.bytes(row.id)), row.format, compression, header => {
      row.options.header = header
    })) {
      for (const each of rows) {
        const isNew = ++read > skip
        if (!isNew || rename || !take(batch, each)) {
          const whole = each.read()
          if (whole.record) see(whole.record)
          if (!isNew) continue
          add(batch, whole, rename)
        }
        batch.readTo = read
        if (batch.rows.size + batch.rejects.length + batch.duplicates < batch.rows.most && batch.characters < BATCH_CHARACTERS) continue
        yield batch
        batch = openBatch(rowsOfBatch(), read)
      }
      // The job's lock and heart want the event loop between pieces, and so does the batch that is being staged.
      await new Promise(done => setImmediate(done))
    }
    if (batch.rows.size + batch.rejects.length + batch.duplicates > 0) yield batch
  }
}

/** A batch that is being filled. */
interface OpenBatch extends Batch {
  characters: number
}

function openBatch(rows: BatchRows, readTo: number): OpenBatch {
  return { rows, rejects: [], duplicates: 0, readTo, characters: 0 }
}

/** Whether the row could be taken as it stands in the file; it has the names of one that was read before. */
function take(batch: OpenBatch, row: FileRow): boolean {
  const isAdded = batch.rows.take?.(row)
  if (isAdded === undefined) return false
  batch.characters += row.end - row.start
  if (!isAdded) batch.duplicates++
  return true
}

function add(batch: OpenBatch, { line, raw, record, fault, names }: ReadRow, rename: ((record: ImportRecord) => ImportRecord) | undefined) {
  batch.characters += raw.length
  if (!record) {
    batch.rejects.push({ line, raw, reason: fault ?? 'the row cannot be read' })
    return
  }
  try {
    const row = rename ? { line, raw, record: rename(record) } : { line, raw, record, names }
    if (!batch.rows.add(row)) batch.duplicates++
  } catch (error) {
    batch.rejects.push({ line, raw, reason: faultOf(error) })
  }
}

export function kindNamed(name: string): ImportKind {
  const kind = Object.hasOwn(IMPORT_KINDS, name) ? IMPORT_KINDS[name] : undefined
  if (!kind) throw new NotFound(`There is no kind of import "${name.slice(0, 40)}"; there are ${Object.keys(IMPORT_KINDS).join(', ')}`)
  return kind
}

function checkMapping(kind: ImportKind, name: string, { mapping = {} }: ImportOptions) {
  const stranger = Object.keys(mapping).find(ours => !isField(kind, ours))
  if (stranger !== undefined)
    throw new InvalidInput(
      `The mapping names ${JSON.stringify(stranger.slice(0, 60))}, which ${name} do not have; they have ${kind.fields.join(', ')}`,
      {},
      ['mapping'],
    )
}

/** Files that cannot be what they are sent as. */
function checkStart(first: Buffer, compression: 'gzip' | undefined) {
  const [a, b] = first
  if (!compression && a === 0x1f && b === 0x8b)
    throw new InvalidInput('The file is gzip; send it with content-encoding: gzip', {}, ['body'])
  if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff))
    throw new InvalidInput('The file is UTF-16; save and send it as UTF-8', {}, ['body'])
}

/** Reads a packed upload to its end; the header of a CSV is checked as soon as it is there. */
async function checkedGzip(kind: ImportKind, name: string, bytes: AsyncIterable<Buffer>, format: FileFormat, options: ImportOptions) {
  let start = Buffer.alloc(0)
  let header: string | undefined
  for await (const chunk of unpacked(bytes)) {
    if (format !== 'csv' || header !== undefined) continue
    start = Buffer.concat([start, chunk])
    if (start.includes(10) || start.length > LONGEST_HEADER) header = checkedHeader(kind, name, start, options)
  }
  return format === 'csv' ? (header ?? checkedHeader(kind, name, start, options)) : undefined
}

/** The header line of a CSV, if it has what the kind needs. */
function checkedHeader(kind: ImportKind, name: string, first: Buffer, { mapping = {} }: ImportOptions): string {
  const header = headerOf(first.subarray(0, LONGEST_HEADER))
  if (!header) throw new InvalidInput('The file has no header line', {}, ['body'])
  const has = (column: string) => Object.hasOwn(mapping, column) || header.includes(column)
  const missing = kind.needs.filter(group => !group.some(has))
  if (missing.length > 0)
    throw new InvalidInput(
      `The header lacks ${missing.map(group => group.join(' or ')).join(', and ')} for ${name}; it has ${header.slice(0, 30).join(', ').slice(0, 500)}`,
      {},
      ['body'],
    )
  const absent = Object.values(mapping).find(column => !column.startsWith('=') && !header.includes(column))
  if (absent !== undefined)
    throw new InvalidInput(`The mapping names the column ${JSON.stringify(absent.slice(0, 60))}, which the header lacks`, {}, ['mapping'])
  return header.join(',')
}

/** Columns under our names; "=PURCHASE" is a constant; a time without a zone gets the one that was given. */
function renamer(
  mapping: Record<string, string> | undefined,
  zone: string | undefined,
): ((record: ImportRecord) => ImportRecord) | undefined {
  if (!mapping && !zone) return undefined
  const pairs = Object.entries(mapping ?? {})
  return record => {
    // A copy by spread keeps a field called __proto__ a field.
    const renamed: ImportRecord = { ...record }
    for (const [ours, theirs] of pairs)
      renamed[ours] = theirs.startsWith('=') ? theirs.slice(1) : Object.hasOwn(record, theirs) ? record[theirs] : undefined
    for (const name of zone ? ['timestamp', 'createdAt'] : []) {
      const value = renamed[name]
      if (typeof value === 'string' && /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(value))
        renamed[name] = value.replace(' ', 'T') + zone
    }
    return renamed
  }
}

/** The same pieces, each after `work` has seen it. */
async function* stepwise(pieces: AsyncIterable<Buffer>, work: (piece: Buffer) => Promise<void>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    await work(piece)
    yield piece
  }
}

/** The same bytes in pieces of about a megabyte. */
async function* chunked(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let size = 0
  for await (const part of body) {
    parts.push(part)
    size += part.length
    if (size < CHUNK_BYTES) continue
    yield Buffer.concat(parts)
    parts = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(parts)
}
