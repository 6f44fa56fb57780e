import { detectLanguage } from '../algorithms/text/language.js'
import type { Cell } from '../platform/bulk.js'
import { cleanUser, type UserFacts } from '../users/user-rules.js'
import { EventLines } from './event-lines.js'
import { EVENT_COLUMNS, EventRows } from './event-rows.js'
import {
  currencyOf as currency,
  EVENT_FIELDS,
  isAbsent,
  microsOf,
  optionalId,
  optionalNumber,
  propertiesOf,
  RowFault,
  timeOf,
} from './event-rules.js'
import { type BatchRows, CellRows } from './import-batch.js'
import type { FileFormat } from './import-rows.js'

/** A row as it was uploaded, its columns already renamed by the mapping. */
export type ImportRecord = Record<string, unknown>

export interface RowContext {
  now: Date
  currency: string
  /** Id of the upload's content: the same file sent again has the same. */
  fileId: string
  line: number
}

/** A kind of bulk data: how its rows are gathered, staged by COPY, and merged set by set. */
export interface ImportKind {
  /** Names that rows may have; one that ends in a dot stands for all that begin with it. What else stands in a row is not read. */
  fields: readonly string[]
  /** Columns of which a CSV needs at least one of each group. */
  needs: readonly (readonly string[])[]
  /** Name and type of the staging columns. */
  columns: readonly (readonly [name: string, type: string])[]
  /** What makes the rows of one batch after the other of a file. */
  batches(context: Omit<RowContext, 'line'>, format: FileFormat): () => BatchRows
  /** Table into which a batch is copied as it is, for as long as none of its rows was there already. */
  table?: string
  /** Statements over the staging table `staged`, run in order in the batch's transaction; the rows that the last one wrote are those merged. */
  merge: readonly string[]
  /** SQL that selects (line, reason) of staged rows that may not be merged. */
  refusals?: string
  /** The same of rows that name strangers, for a shop that refuses those. */
  strangers?: string
}

/** A kind whose rows are cells of its staging table. */
export interface CellKind extends Omit<ImportKind, 'batches' | 'table'> {
  /** Cells of one row; throws `RowFault` or `DomainError` with a sentence. */
  cells(record: ImportRecord, context: RowContext): Cell[]
  /** Place among the cells of the key of what a row describes: a later row changes what it gives and leaves the rest, as a later file would. */
  completesBy?: number
}

function ofCells(kind: CellKind): ImportKind {
  return { ...kind, batches: context => () => new CellRows(kind, context) }
}

/** Creates the users and products that staged rows name and nobody knows yet. */
const STUB_USERS = `
  INSERT INTO "User" ("externalId") SELECT DISTINCT s.owner FROM staged s LEFT JOIN "User" u ON u."externalId" = s.owner
  WHERE s.owner IS NOT NULL AND u.id IS NULL ORDER BY 1 ON CONFLICT DO NOTHING`
const STUB_PRODUCTS = `
  INSERT INTO "Product" ("externalId", title, stub, categories) SELECT DISTINCT s.product, s.product, true, '{}'::text[] FROM staged s LEFT JOIN "Product" p ON p."externalId" = s.product
  WHERE s.product IS NOT NULL AND p.id IS NULL ORDER BY 1 ON CONFLICT DO NOTHING`

const STRANGE_USERS = `SELECT s.line, 'userId names nobody' AS reason FROM staged s LEFT JOIN "User" u ON u."externalId" = s.owner WHERE s.owner IS NOT NULL AND u.id IS NULL`
const STRANGE_PRODUCTS = `SELECT s.line, 'productId names no product' AS reason FROM staged s LEFT JOIN "Product" p ON p."externalId" = s.product WHERE s.product IS NOT NULL AND p.id IS NULL`

const EVENT_NAMES = EVENT_COLUMNS.map(([name]) => `"${name}"`).join(', ')

const events: ImportKind = {
  fields: EVENT_FIELDS,
  needs: [['userId', 'anonymousId'], ['type']],
  columns: EVENT_COLUMNS,
  batches: (context, format) => {
    const lines = new EventLines(format, context)
    return () => new EventRows(context, lines)
  },
  table: '"Event"',
  merge: [
    `INSERT INTO "Event" (${EVENT_NAMES}) SELECT ${EVENT_NAMES} FROM staged s
     WHERE NOT EXISTS (SELECT FROM "Event" e WHERE e."messageId" = s."messageId") ON CONFLICT ("messageId") DO NOTHING`,
  ],
}

const USER_COLUMNS = [
  ['email', 'text'],
  ['phone', 'text'],
  ['name', 'text'],
  ['gender', 'text'],
  ['birthYear', 'int'],
  ['city', 'text'],
  ['country', 'text'],
  ['locale', 'text'],
  ['timeZone', 'text'],
  ['createdAt', 'timestamptz'],
] as const

const users = ofCells({
  fields: ['externalId', 'userId', ...USER_COLUMNS.map(([name]) => name), 'traits'],
  needs: [['externalId', 'userId']],
  completesBy: 0,
  columns: [['key', 'text'], ...USER_COLUMNS, ['traits', 'jsonb']],
  cells: (record, { now }) => {
    const absentIsNothing = <T>(value: T) => (isAbsent(value) ? undefined : value)
    const birthYear = optionalNumber(record.birthYear, 'birthYear', 1900, now.getUTCFullYear())
    const facts = {
      externalId: optionalId(record.externalId ?? record.userId, 'externalId') ?? '',
      ...Object.fromEntries(USER_COLUMNS.map(([name]) => [name, absentIsNothing(record[name])])),
      birthYear: birthYear ?? undefined,
      traits: isAbsent(record.traits) ? undefined : JSON.parse(propertiesOf(record.traits, 'traits') as string),
      createdAt: isAbsent(record.createdAt) ? undefined : timeOf(record.createdAt, now, 'createdAt'),
    }
    const { externalId, changes } = cleanUser(facts as unknown as UserFacts, now)
    return [externalId, ...USER_COLUMNS.map(([name]) => (changes[name]?.value ?? null) as Cell), (changes.traits?.value ?? null) as Cell]
  },
  merge: [
    `INSERT INTO "User" ("externalId", ${USER_COLUMNS.map(([name]) => `"${name}"`).join(', ')}, traits)
     SELECT key, ${USER_COLUMNS.map(([name]) => (name === 'createdAt' ? 'COALESCE(s."createdAt", now())' : `s."${name}"`)).join(', ')}, COALESCE(s.traits, '{}') FROM staged s ORDER BY key
     ON CONFLICT ("externalId") DO UPDATE SET ${USER_COLUMNS.filter(([name]) => name !== 'createdAt')
       .map(([name]) => `"${name}" = COALESCE(EXCLUDED."${name}", "User"."${name}")`)
       .join(', ')},
       traits = "User".traits || EXCLUDED.traits, version = "User".version + 1, "updatedAt" = now()`,
  ],
})

const products = ofCells({
  fields: [
    'externalId',
    'productId',
    'title',
    'description',
    'categories',
    'category',
    'brand',
    'price',
    'currency',
    'marginShare',
    'stock',
    'attributes',
  ],
  needs: [['externalId', 'productId'], ['title']],
  completesBy: 0,
  columns: [
    ['key', 'text'],
    ['title', 'text'],
    ['description', 'text'],
    ['categories', 'text[]'],
    ['brand', 'text'],
    ['price', 'bigint'],
    ['currency', 'char(3)'],
    ['margin', 'float8'],
    ['stock', 'int'],
    ['attributes', 'jsonb'],
  ],
  cells: (record, { currency: accountCurrency }) => {
    const key = optionalId(record.externalId ?? record.productId, 'externalId')
    if (key === null) throw new RowFault('externalId', 'externalId is needed')
    const title = optionalId(record.title, 'title', 500)
    if (title === null) throw new RowFault('title', 'title is needed')
    const price = microsOf(record.price)
    const stock = optionalNumber(record.stock, 'stock', 0, 2_000_000_000)
    if (stock !== null && !Number.isInteger(stock)) throw new RowFault('stock', 'stock must be a whole number')
    return [
      key,
      title,
      optionalId(record.description, 'description', 20_000),
      arrayLiteral(listOf(record.categories ?? record.category)),
      optionalId(record.brand, 'brand'),
      price,
      price === null ? null : isAbsent(record.currency) ? accountCurrency : currency(record.currency),
      optionalNumber(record.marginShare, 'marginShare', 0, 1),
      stock,
      propertiesOf(record.attributes, 'attributes'),
    ]
  },
  merge: [
    `INSERT INTO "Product" ("externalId", title, description, categories, brand, "priceMicros", "currencyCode", "marginShare", stock, attributes)
     SELECT key, title, description, COALESCE(categories, '{}'), brand, price, currency, margin, stock, COALESCE(attributes, '{}') FROM staged ORDER BY key
     ON CONFLICT ("externalId") DO UPDATE SET title = EXCLUDED.title, description = COALESCE(EXCLUDED.description, "Product".description),
       categories = CASE WHEN EXCLUDED.categories = '{}' THEN "Product".categories ELSE EXCLUDED.categories END, brand = COALESCE(EXCLUDED.brand, "Product".brand),
       "priceMicros" = COALESCE(EXCLUDED."priceMicros", "Product"."priceMicros"), "currencyCode" = COALESCE(EXCLUDED."currencyCode", "Product"."currencyCode"),
       "marginShare" = COALESCE(EXCLUDED."marginShare", "Product"."marginShare"), stock = COALESCE(EXCLUDED.stock, "Product".stock), attributes = "Product".attributes || EXCLUDED.attributes,
       stub = false, version = "Product".version + 1, "updatedAt" = now()`,
  ],
})

const SOURCES = ['review', 'post', 'news', 'message']
/** Before a post's id, by whatever door it comes: a post that comes by two of them is one, and no review has its id. */
export const POST_PREFIX = 'post:'

/** Texts of one source unless a row names its own, kept under `prefix` and their id. What is not given is what reading them finds. */
const texts = (source: string, prefix = ''): ImportKind =>
  ofCells({
    fields: [
      'externalId',
      'id',
      'userId',
      'userExternalId',
      'productId',
      'productExternalId',
      'text',
      'rating',
      'locale',
      'createdAt',
      'timestamp',
      'source',
    ],
    needs: [['text']],
    columns: [
      ['key', 'text'],
      ['owner', 'text'],
      ['product', 'text'],
      ['text', 'text'],
      ['rating', 'int'],
      ['locale', 'text'],
      ['at', 'timestamptz'],
      ['source', 'text'],
    ],
    cells: (record, { now, fileId, line }) => {
      const text = optionalId(record.text, 'text', 20_000)
      if (text === null) throw new RowFault('text', 'text is needed')
      const rating = optionalNumber(record.rating, 'rating', 1, 5)
      const at = isAbsent(record.createdAt ?? record.timestamp) ? now : timeOf(record.createdAt ?? record.timestamp, now, 'createdAt')
      const named = optionalId(record.source, 'source', 20)?.toLowerCase() ?? source
      if (!SOURCES.includes(named))
        throw new RowFault('source', `source must be one of ${SOURCES.join(', ')}, not ${JSON.stringify(named)}`)
      const id = optionalId(record.externalId ?? record.id, 'externalId')
      return [
        id === null ? `import:${fileId}:${line}` : `${prefix}${id}`,
        optionalId(record.userId ?? record.userExternalId, 'userId'),
        optionalId(record.productId ?? record.productExternalId, 'productId'),
        text,
        rating === null ? null : Math.round(rating),
        optionalId(record.locale, 'locale', 35) ?? detectLanguage(text).language.replace(/^(none|other)$/, 'und'),
        at,
        named,
      ]
    },
    strangers: `SELECT DISTINCT ON (line) * FROM (${STRANGE_USERS} UNION ALL ${STRANGE_PRODUCTS}) strangers`,
    merge: [
      STUB_USERS,
      STUB_PRODUCTS,
      `INSERT INTO "Review" (id, "externalId", "userId", "productId", text, rating, locale, "createdAt", source)
     SELECT gen_random_uuid()::text, s.key, u.id, p.id, s.text, s.rating, s.locale, s.at, s.source FROM staged s LEFT JOIN "User" u ON u."externalId" = s.owner LEFT JOIN "Product" p ON p."externalId" = s.product
     ON CONFLICT ("externalId") DO NOTHING`,
    ],
  })

/** Columns that a mapping names "context.<name>" become the context of the impression. */
const CONTEXT = 'context.'
/** iPinYou writes times as yyyyMMddHHmmssSSS. */
const COMPACT_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})$/

const adLog = ofCells({
  fields: [
    'messageId',
    'adId',
    'userId',
    'timestamp',
    'clicked',
    'clickedAt',
    'converted',
    'convertedAt',
    'cost',
    'costCpm',
    'conversionValue',
    'context',
    CONTEXT,
  ],
  needs: [['adId']],
  columns: [
    ['message', 'text'],
    ['ad', 'text'],
    ['owner', 'text'],
    ['at', 'timestamptz'],
    ['clicked', 'bool'],
    ['clickedAt', 'timestamptz'],
    ['converted', 'bool'],
    ['convertedAt', 'timestamptz'],
    ['cost', 'bigint'],
    ['value', 'bigint'],
    ['context', 'jsonb'],
  ],
  cells: (record, { now, fileId, line }) => {
    const ad = optionalId(record.adId, 'adId')
    if (ad === null) throw new RowFault('adId', 'adId is needed')
    const time = (name: string) => (isAbsent(record[name]) ? null : timeOf(expanded(record[name]), now, name))
    const at = time('timestamp') ?? now
    const [clickedAt, convertedAt] = [time('clickedAt'), time('convertedAt')]
    const converted = flag(record.converted, 'converted') || convertedAt !== null
    const perThousand = microsOf(record.costCpm, 'costCpm')
    return [
      optionalId(record.messageId, 'messageId') ?? `import:${fileId}:${line}`,
      ad,
      optionalId(record.userId, 'userId'),
      at,
      flag(record.clicked, 'clicked') || clickedAt !== null || converted,
      clickedAt,
      converted,
      convertedAt,
      microsOf(record.cost, 'cost') ?? (perThousand === null ? 0n : perThousand / 1000n),
      microsOf(record.conversionValue, 'conversionValue') ?? 0n,
      propertiesOf({ ...contextOf(record.context), ...namedContext(record) }, 'context') ?? '{}',
    ]
  },
  refusals: `SELECT s.line, 'adId names no ad' AS reason FROM staged s LEFT JOIN "Ad" a ON a."externalId" = s.ad WHERE a.id IS NULL`,
  strangers: STRANGE_USERS,
  merge: [
    STUB_USERS,
    // The same impression again, in this file or another, brings what was not known before: a click or a conversion that came late.
    `INSERT INTO "AdLogEntry" ("messageId", "adId", "userId", "occurredAt", clicked, "clickedAt", converted, "convertedAt", "costMicros", "conversionValueMicros", context)
       SELECT DISTINCT ON (s.message) s.message, a.id, u.id, s.at, bool_or(s.clicked) OVER same, min(s."clickedAt") OVER same, bool_or(s.converted) OVER same, min(s."convertedAt") OVER same,
         max(s.cost) OVER same, max(s.value) OVER same, s.context
       FROM staged s JOIN "Ad" a ON a."externalId" = s.ad LEFT JOIN "User" u ON u."externalId" = s.owner WINDOW same AS (PARTITION BY s.message) ORDER BY s.message, s.line DESC
       ON CONFLICT ("messageId") DO UPDATE SET clicked = "AdLogEntry".clicked OR EXCLUDED.clicked, "clickedAt" = LEAST("AdLogEntry"."clickedAt", EXCLUDED."clickedAt"),
         converted = "AdLogEntry".converted OR EXCLUDED.converted, "convertedAt" = LEAST("AdLogEntry"."convertedAt", EXCLUDED."convertedAt"),
         "costMicros" = GREATEST("AdLogEntry"."costMicros", EXCLUDED."costMicros"), "conversionValueMicros" = GREATEST("AdLogEntry"."conversionValueMicros", EXCLUDED."conversionValueMicros")
       WHERE "AdLogEntry"."decisionId" IS NULL AND (EXCLUDED.clicked AND NOT "AdLogEntry".clicked OR EXCLUDED.converted AND NOT "AdLogEntry".converted
         OR EXCLUDED."costMicros" > "AdLogEntry"."costMicros" OR EXCLUDED."conversionValueMicros" > "AdLogEntry"."conversionValueMicros")`,
  ],
})

function expanded(value: unknown): unknown {
  const [, year, month, day, hour, minute, second, fraction] = COMPACT_TIME.exec(String(value)) ?? []
  return year ? `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction}Z` : value
}

function contextOf(value: unknown): Record<string, unknown> {
  const text = propertiesOf(value, 'context')
  return text === null ? {} : JSON.parse(text)
}

function namedContext(record: ImportRecord): Record<string, unknown> {
  const named = Object.entries(record).filter(([name, value]) => name.startsWith(CONTEXT) && !isAbsent(value))
  return Object.fromEntries(named.map(([name, value]) => [name.slice(CONTEXT.length), value]))
}

export function isField({ fields }: ImportKind, name: string): boolean {
  return fields.includes(name) || fields.some(field => field.endsWith('.') && name.startsWith(field))
}

export const IMPORT_KINDS: Readonly<Record<string, ImportKind>> = {
  users,
  products,
  events,
  reviews: texts('review'),
  posts: texts('post', POST_PREFIX),
  'ad-log': adLog,
}

function flag(value: unknown, field: string): boolean {
  if (isAbsent(value)) return false
  if (value === true || value === 1 || value === '1' || value === 'true') return true
  if (value === false || value === 0 || value === '0' || value === 'false') return false
  throw new RowFault(field, `${field} must be true or false`)
}

/** A list, or a text with | between the entries. */
function listOf(value: unknown): string[] {
  if (isAbsent(value)) return []
  const entries = Array.isArray(value) ? value : String(value).split('|')
  if (entries.length > 20) throw new RowFault('categories', 'categories must be at most 20')
  return entries
    .map(entry => optionalId(typeof entry === 'string' ? entry.trim() : entry, 'categories') ?? '')
    .filter(entry => entry !== '')
}

function arrayLiteral(values: readonly string[]): string | null {
  if (values.length === 0) return null
  return `{${values.map(value => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}
