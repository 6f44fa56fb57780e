import type pg from 'pg'
import { type CopyIn, escapeText, rowText, timeText } from '../platform/bulk.js'
import { ByteMap } from '../platform/byte-map.js'
import { codes } from '../platform/record-reader.js'
import { type EventLines, MESSAGE, PRICE, PRODUCT, QUANTITY, USER, VALUE } from './event-lines.js'
import { cleanEvent } from './event-rules.js'
import type { BatchRows, GoodRow, Reject } from './import-batch.js'
import type { RowContext } from './import-kinds.js'
import { type ReferenceCache, type Unknown, userKey } from './import-references.js'
import type { FileRow } from './import-rows.js'

export const EVENT_COLUMNS = [
  ['messageId', 'text'],
  ['userId', 'int'],
  ['productId', 'int'],
  ['type', '"EventType"'],
  ['value', 'float8'],
  ['quantity', 'int'],
  ['priceMicros', 'bigint'],
  ['currencyCode', 'char(3)'],
  ['occurredAt', 'timestamptz'],
  ['properties', 'jsonb'],
] as const

const [TAB, DOT, ZERO] = codes('\t.0')
const NULL = Buffer.from('\\N')
/** The last cell, and the end of a row. */
const NO_PROPERTIES = Buffer.from('\t\\N\n')
const START_BYTES = 64 * 1024
/** More than what is written of a row that was read from its bytes. */
const MOST_WRITTEN = 512
/** Two ids of at most ten digits, and what is between them. */
const ID_BYTES = 24
const MICRO_DIGITS = 6

/** A row whose names are not ids yet: where it stands in the bytes, and where they do. */
interface Row {
  line: number
  bytes: Buffer
  start: number
  end: number
  userStart: number
  userEnd: number
  productStart: number
  /** As its start where there is no product. */
  productEnd: number
}

/** Events as COPY's text format has them but for the ids of whom and what they name. */
export class EventRows implements BatchRows {
  /** They take little memory, and the turns between two batches as much time as hundreds of rows. */
  readonly most = 20_000
  readonly columns = EVENT_COLUMNS.map(([name]) => name)
  private readonly rows: Row[] = []
  /** Of each row its message id, and then what follows the ids. */
  private text = Buffer.allocUnsafe(START_BYTES)
  private used = 0
  /** Where these two end, for each row. */
  private readonly ends: number[] = []
  private readonly messages = new ByteMap()
  /** Ids of user and product of each row; 0 for a product that is not named, or while there is none. */
  private ids = new Int32Array()
  private readonly nameless = new Set<Row>()

  constructor(
    private readonly context: Omit<RowContext, 'line'>,
    private readonly lines: EventLines,
  ) {}

  get size(): number {
    return this.rows.length
  }

  add({ line, raw, record, names }: GoodRow): boolean {
    if (names) this.lines.learn(names)
    const { now, currency } = this.context
    const event = cleanEvent(record, { now, currency, fallbackId: () => this.fallbackId(line), contentIds: false })
    const message = Buffer.from(escapeText(event.messageId))
    const { type, value, quantity, priceMicros, at, properties } = event
    const rest = Buffer.from(`\t${rowText([type, value, quantity, priceMicros, event.currency, at, properties])}\n`)
    this.reserve(message.length + rest.length)
    const start = this.used
    this.used += message.copy(this.text, start)
    if (!this.messageIsNew(start)) return false
    this.used += rest.copy(this.text, this.used)
    this.ends.push(this.used)
    const [row, user, product] = [raw, userKey(event.user, event.anonymousId), event.product ?? ''].map(text => Buffer.from(text))
    const [userStart, productStart] = [row.length, row.length + user.length]
    const bytes = Buffer.concat([row, user, product])
    const productEnd = bytes.length
    this.rows.push({ line, bytes, start: 0, end: userStart, userStart, userEnd: productStart, productStart, productEnd })
    return true
  }

  take({ line, bytes, start, end }: FileRow): boolean | undefined {
    const { lines } = this
    if (!bytes || !lines.read(bytes, start, end)) return undefined
    this.reserve(MOST_WRITTEN)
    const { text, used } = this
    const [messageStart, messageEnd] = [lines.startOf(MESSAGE), lines.endOf(MESSAGE)]
    if (messageEnd > messageStart) this.used = written(text, used, bytes, messageStart, messageEnd)
    else this.used += text.write(this.fallbackId(line), used, 'latin1')
    if (!this.messageIsNew(used)) return false
    this.used = this.writeRest(text, this.used, bytes)
    this.ends.push(this.used)
    this.rows.push({
      line,
      bytes,
      start,
      end,
      userStart: lines.startOf(USER),
      userEnd: lines.endOf(USER),
      productStart: lines.startOf(PRODUCT),
      productEnd: lines.endOf(PRODUCT),
    })
    return true
  }

  async resolve(client: pg.ClientBase, references: ReferenceCache, unknown: Unknown): Promise<Reject[]> {
    const { rows } = this
    await references.begin(client)
    this.ids = new Int32Array(2 * rows.length)
    const { users, products } = this.lookUp(references)
    if (users.size > 0) await references.findUsers(client, [...users], unknown)
    if (products.size > 0) await references.findProducts(client, [...products], unknown)
    const strangers = users.size + products.size > 0 ? this.lookUp(references) : { users, products }
    if (strangers.users.size + strangers.products.size === 0) return []
    return rows.flatMap((row, at) => {
      const reason = this.namelessness(row, at)
      if (reason === undefined) return []
      this.nameless.add(row)
      return [{ line: row.line, raw: row.bytes.toString('utf8', row.start, row.end), reason }]
    })
  }

  async copyInto(copy: CopyIn): Promise<void> {
    const { rows, ends, ids, text } = this
    const copied = Buffer.allocUnsafe(this.used + rows.length * ID_BYTES)
    let size = 0
    for (let at = 0, start = 0; at < rows.length; start = ends[2 * at++ + 1]) {
      if (this.nameless.size > 0 && this.nameless.has(rows[at])) continue
      const message = ends[2 * at]
      size = written(copied, size, text, start, message)
      copied[size++] = TAB
      size = writtenNumber(copied, size, ids[2 * at])
      copied[size++] = TAB
      if (ids[2 * at + 1] > 0) size = writtenNumber(copied, size, ids[2 * at + 1])
      else size = written(copied, size, NULL, 0, NULL.length)
      size = written(copied, size, text, message, ends[2 * at + 1])
    }
    if (size > 0) await copy.text(copied.subarray(0, size))
  }

  /** Two equal lines without an id are two events, and stay the same two when the file is sent again: the id is the file's and the line's. */
  private fallbackId(line: number): string {
    return `import:${this.context.fileId}:${line}`
  }

  /** Whether the message id that was written last is the first of its kind; what repeats one is taken back. */
  private messageIsNew(start: number): boolean {
    const isNew = this.messages.set(0, this.text, start, this.used)
    if (isNew) this.ends.push(this.used)
    else this.used = start
    return isNew
  }

  /** Notes what ids are known, and says which names have none. */
  private lookUp(references: ReferenceCache): { users: Set<string>; products: Set<string> } {
    const [users, products] = [new Set<string>(), new Set<string>()]
    for (let at = 0; at < this.rows.length; at++) {
      const { bytes, userStart, userEnd, productStart, productEnd } = this.rows[at]
      const user = references.users.get(bytes, userStart, userEnd)
      if (user === undefined) users.add(bytes.toString('utf8', userStart, userEnd))
      else this.ids[2 * at] = user
      if (productEnd === productStart) continue
      const product = references.products.get(bytes, productStart, productEnd)
      if (product === undefined) products.add(bytes.toString('utf8', productStart, productEnd))
      else this.ids[2 * at + 1] = product
    }
    return { users, products }
  }

  private namelessness({ productStart, productEnd }: Row, at: number): string | undefined {
    if (this.ids[2 * at] === 0) return 'userId names nobody'
    if (productEnd > productStart && this.ids[2 * at + 1] === 0) return 'productId names no product'
    return undefined
  }

  /** Writes what follows the ids of the line that was read, as `rowText` would. */
  private writeRest(text: Buffer, from: number, bytes: Buffer): number {
    const { lines } = this
    let at = from
    text[at++] = TAB
    at = written(text, at, lines.type, 0, lines.type.length)
    for (const place of [VALUE, QUANTITY, PRICE]) {
      text[at++] = TAB
      const [start, end] = [lines.startOf(place), lines.endOf(place)]
      if (start === end) at = written(text, at, NULL, 0, NULL.length)
      else at = place === PRICE ? writtenMicros(text, at, bytes, start, end) : written(text, at, bytes, start, end)
    }
    text[at++] = TAB
    at = lines.currency === null ? written(text, at, NULL, 0, NULL.length) : writtenText(text, at, lines.currency)
    text[at++] = TAB
    at = writtenText(text, at, timeText(lines.time))
    return written(text, at, NO_PROPERTIES, 0, NO_PROPERTIES.length)
  }

  private reserve(bytes: number) {
    if (this.used + bytes <= this.text.length) return
    const larger = Buffer.allocUnsafe((this.used + bytes) * 2)
    this.text.copy(larger, 0, 0, this.used)
    this.text = larger
  }
}

/** Copies bytes of short texts, for which a call of Buffer's would cost more than they do; returns where they end. */
function written(to: Buffer, at: number, from: Buffer, start: number, end: number): number {
  let place = at
  for (let each = start; each < end; each++) to[place++] = from[each]
  return place
}

/** The same of ASCII. */
function writtenText(to: Buffer, at: number, text: string): number {
  for (let each = 0; each < text.length; each++) to[at + each] = text.charCodeAt(each)
  return at + text.length
}

function writtenNumber(to: Buffer, at: number, number: number): number {
  let digits = 1
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) digits++
  for (let place = at + digits - 1, rest = number; place >= at; place--, rest = Math.floor(rest / 10)) to[place] = ZERO + (rest % 10)
  return at + digits
}

/** Units of currency as micros. */
function writtenMicros(to: Buffer, at: number, from: Buffer, start: number, end: number): number {
  let point = start
  while (point < end && from[point] !== DOT) point++
  const whole = written(to, at, from, start, point)
  for (let digit = 0; digit < MICRO_DIGITS; digit++) to[whole + digit] = point + 1 + digit < end ? from[point + 1 + digit] : ZERO
  return whole + MICRO_DIGITS
}
