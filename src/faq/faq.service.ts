import DataLoader from 'dataloader'
import { isReadable } from '../algorithms/text/analysis.js'
import { detectLanguage } from '../algorithms/text/language.js'
import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { timeOf } from '../graphql/cursor.js'
import { decodeId } from '../graphql/node-id.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import type { Pool } from '../platform/pool.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText, cleanText, escapeLike } from '../platform/text-input.js'
import { v7 } from '../platform/uuid.js'
import { CONVERSATION_MS } from './answers.service.js'
import type { FaqContent, FaqEntryRow, FaqRepository, FaqVersionRow, TicketRow } from './faq.repository.js'
import {
  type FaqEntryActionInput,
  type FaqEntryCreateInput,
  FaqEntryHistory,
  FaqEntryType,
  type FaqEntryUpdateInput,
  type FaqFeedbackInput,
  type FaqTicketCloseInput,
  FaqTicketType,
  type FaqWhere,
} from './faq.schema.js'

const LONGEST_QUESTION = 1_000
const LONGEST_ANSWER = 10_000
const MOST_ALTERNATIVES = 100
const DAY_MS = 86_400_000
const DRAFT_DAYS = 30
const KEEP_DAYS = 400
const MOST_QUESTIONS = 5_000
const SMALLEST_CLUSTER = 3
const SIMILARITY = 0.3
const MOST_DRAFTS = 50
/** Alternatives that a draft is made with. */
const MOST_DRAFTED = 20

type Editor = Pick<Viewer, 'name'>
type Verb = 'approve' | 'retire' | 'reject'

export interface FaqParts {
  repository: FaqRepository
  signals: Pick<Signals, 'announce'>
  pool: Pool
  now?: () => Date
}

/** The entries of the FAQ and their life: draft → approved → retired. Only what a person approved answers. */
export class FaqService {
  constructor(private readonly parts: FaqParts) {}

  /** The same rules, with no effect. */
  rehearse<T>(work: (dry: FaqService) => Promise<T>): Promise<T> {
    const signals = { announce: async () => {} }
    return this.parts.repository.rehearse(repository => work(new FaqService({ ...this.parts, repository, signals })))
  }

  async find(id: string): Promise<FaqEntryType | null> {
    const row = await this.parts.repository.get(id)
    return row ? FaqEntryType.of(row) : null
  }

  async page({ first, after, where }: { first: number; after?: string; where?: FaqWhere | null }): Promise<Connection<FaqEntryType>> {
    const search = cleanOptionalText(where?.search, { field: ['where', 'search'], max: 200 })
    const filter = { ...where, search: search && `%${escapeLike(search)}%` }
    return pageOf<FaqEntryRow, FaqEntryType>({
      first,
      after,
      fetch: (cursor, limit) => this.parts.repository.page(filter, cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: FaqEntryType.of,
      count: () => this.parts.repository.count(filter),
    })
  }

  /** How an entry came to be what it is, batched with the request's other loads. */
  history(context: Context, id: string): Promise<FaqEntryHistory | null> {
    return context.loader('faq-history', () => new DataLoader((ids: readonly string[]) => this.histories(ids))).load(id)
  }

  private async histories(ids: readonly string[]): Promise<(FaqEntryHistory | null)[]> {
    const rows = new Map((await this.parts.repository.byIds(ids)).map(row => [row.id, row]))
    const versions = new Map<string, FaqVersionRow[]>()
    for (const { entryId, ...version } of await this.parts.repository.versions(ids))
      versions.set(entryId, [...(versions.get(entryId) ?? []), version])
    return ids.map(id => {
      const row = rows.get(id)
      return row ? FaqEntryHistory.of(row, versions.get(id) ?? []) : null
    })
  }

  async create(input: FaqEntryCreateInput): Promise<{ entry: FaqEntryType }> {
    const row = await this.parts.repository.create({ ...this.cleaned(input), origin: 'person' })
    if (!row) throw new Conflict('There is an entry with this external id already', 'DUPLICATE', {}, ['externalId'])
    return { entry: FaqEntryType.of(row) }
  }

  /** A draft without an answer that an opinion alert proposes; the same one twice is one. */
  async propose(question: string, externalId: string): Promise<void> {
    await this.parts.repository.create({ ...this.cleaned({ question, answer: '', externalId, dryRun: false }), origin: 'opinion' })
  }

  async update(editor: Editor, { id, expectedVersion, dryRun: _, ...changes }: FaqEntryUpdateInput): Promise<{ entry: FaqEntryType }> {
    const row = await this.entry(id)
    checkVersion(row, expectedVersion)
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
    if (Object.keys(given).every(name => name === 'idempotencyKey')) throw new InvalidInput('Nothing is to be changed', {}, ['id'])
    const content = contentOf({ ...row, ...given })
    const changed = await this.parts.repository.update(row.id, row.version, content, editor.name)
    if (!changed) throw await this.overtaken(row.id, expectedVersion)
    return this.told(changed)
  }

  async approve(editor: Editor, input: FaqEntryActionInput): Promise<{ entry: FaqEntryType }> {
    const row = await this.acted(input, 'approve', ['DRAFT'])
    if (row.answer.trim() === '') throw new InvalidInput('An entry without an answer cannot be approved; write one first', {}, ['id'])
    return this.told(await this.parts.repository.approve(row.id, row.version, editor.name), row)
  }

  /** It answers no more; its history stays. */
  async retire(input: FaqEntryActionInput): Promise<{ entry: FaqEntryType }> {
    const row = await this.acted(input, 'retire', ['DRAFT', 'APPROVED'])
    return this.told(await this.parts.repository.retire(row.id, row.version), row)
  }

  /** Refuses a draft; what was approved before stands again. */
  async reject(editor: Editor, input: FaqEntryActionInput): Promise<{ entry: FaqEntryType }> {
    const row = await this.acted(input, 'reject', ['DRAFT'])
    return this.told(await this.parts.repository.reject(row.id, row.version, editor.name), row)
  }

  async feedback({ decisionId, helpful, comment }: FaqFeedbackInput): Promise<{ recorded: boolean }> {
    const id = decodeId('Decision', decisionId, 'decisionId')
    const text = cleanOptionalText(comment, { field: ['comment'], max: 2_000, min: 0 }) ?? null
    if (!(await this.parts.repository.judge(id, helpful, text))) throw new NotFound('No question has this decisionId', {}, ['decisionId'])
    return { recorded: true }
  }

  async findTicket(id: string): Promise<FaqTicketType | null> {
    const row = await this.parts.repository.ticket(id)
    return row ? FaqTicketType.of(row) : null
  }

  tickets({ first, after, open }: { first: number; after?: string; open?: boolean | null }): Promise<Connection<FaqTicketType>> {
    const { repository } = this.parts
    return pageOf<TicketRow, FaqTicketType>({
      first,
      after,
      fetch: (cursor, limit) => repository.tickets(open ?? null, cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: FaqTicketType.of,
      count: () => repository.ticketCount(open ?? null),
    })
  }

  /** Says that the customer has been answered. */
  async closeTicket(editor: Editor, { ticketId }: FaqTicketCloseInput): Promise<{ ticket: FaqTicketType }> {
    const id = decodeId('FaqTicket', ticketId, 'ticketId')
    const isClosed = await this.parts.repository.closeTicket(id, editor.name, this.now())
    const row = await this.parts.repository.ticket(id)
    if (!row) throw new NotFound('No ticket has this id', {}, ['ticketId'])
    if (!isClosed) throw new Conflict(`${row.closedBy} has closed this ticket already`, 'ILLEGAL_TRANSITION', {}, ['ticketId'])
    return { ticket: FaqTicketType.of(row) }
  }

  /** Questions of the last thirty days that got no answer become drafts, one a cluster of alike ones; a person writes the answer and approves. */
  async draftFromQuestions(signal?: AbortSignal): Promise<string> {
    const { repository, pool } = this.parts
    const now = this.now()
    const unanswered = await repository.unanswered(new Date(now.getTime() - DRAFT_DAYS * DAY_MS), now, CONVERSATION_MS, MOST_QUESTIONS)
    const asked = unanswered.filter(({ text }) => isReadable(text))
    const languages = new Map<string, typeof asked>()
    for (const question of asked) languages.set(question.locale, [...(languages.get(question.locale) ?? []), question])
    let [drafts, more] = [0, 0]
    const waiting = await repository.questionDrafts(MOST_QUESTIONS)
    for (const [locale, questions] of languages) {
      // What a draft asks already stands before the new questions: those that are like it join it.
      const known = waiting
        .filter(draft => draft.locale === locale)
        .flatMap(({ id, question, alternatives }) => [question, ...alternatives].map(text => ({ draft: id, id: '', text })))
      const all: { draft?: string; id: string; text: string }[] = [...known, ...questions]
      const { result } = await pool.run<{ members: number[] }[]>(
        { family: 'text', function: 'clusterQuestions', args: [all.map(({ text }) => text), SIMILARITY, SMALLEST_CLUSTER] },
        signal,
      )
      for (const { members } of result) {
        const asked = members.map(at => all[at]).filter(({ draft }) => draft === undefined)
        const [draft] = members.flatMap(at => all[at].draft ?? [])
        if (asked.length === 0 || (!draft && drafts >= MOST_DRAFTS)) continue
        const texts = [...new Set(asked.map(({ text }) => beginningOf(text)))]
        const ids = asked.map(({ id }) => id)
        if (draft) {
          await repository.addToDraft(draft, texts, MOST_DRAFTED, ids)
          more += ids.length
          continue
        }
        const [question, ...others] = texts
        const alternatives = others.slice(0, MOST_DRAFTED)
        await repository.draft(this.cleaned({ question, alternatives, locale, answer: '', dryRun: false }), ids)
        drafts++
      }
    }
    const forgotten = await repository.forgetQuestionsBefore(new Date(now.getTime() - KEEP_DAYS * DAY_MS))
    return `Drafted ${drafts} entries from ${asked.length} unanswered questions, ${more} of which joined earlier drafts; forgot ${forgotten} old questions`
  }

  private async acted({ id, expectedVersion }: FaqEntryActionInput, verb: Verb, from: readonly string[]): Promise<FaqEntryRow> {
    const row = await this.entry(id)
    if (typeof expectedVersion === 'number') checkVersion(row, expectedVersion)
    if (!from.includes(row.status))
      throw new Conflict(
        `An entry that is ${row.status} cannot be ${PAST[verb]}; it would have to be ${from.join(' or ')}`,
        'ILLEGAL_TRANSITION',
        { status: row.status },
        ['id'],
      )
    return row
  }

  private async told(changed: FaqEntryRow | undefined, before?: FaqEntryRow): Promise<{ entry: FaqEntryType }> {
    if (!changed) throw await this.overtaken(before?.id ?? '', before?.version ?? 0)
    await this.parts.signals.announce('faq.changed', { entryId: changed.id })
    return { entry: FaqEntryType.of(changed) }
  }

  private async entry(id: string): Promise<FaqEntryRow> {
    const row = await this.parts.repository.get(decodeId('FaqEntry', id))
    if (!row) throw new NotFound('No entry has this id', {}, ['id'])
    return row
  }

  private async overtaken(id: string, expected: number) {
    return conflict((await this.parts.repository.get(id))?.version ?? 0, expected)
  }

  private cleaned(input: FaqEntryCreateInput): FaqContent & { id: string; externalId: string | null } {
    return { ...contentOf(input), id: v7(), externalId: cleanOptionalText(input.externalId, { field: ['externalId'], max: 200 }) ?? null }
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

/** As much of a customer's question as an entry may have; no sign is cut in two. */
function beginningOf(text: string): string {
  return text.slice(0, LONGEST_QUESTION).replace(/[\uD800-\uDBFF]$/, '')
}

const PAST: Record<Verb, string> = { approve: 'approved', retire: 'retired', reject: 'rejected' }

function contentOf(input: Omit<FaqEntryCreateInput, 'dryRun' | 'externalId' | 'idempotencyKey'>): FaqContent {
  const question = cleanText(input.question, { field: ['question'], max: LONGEST_QUESTION })
  const alternatives = [...new Set(input.alternatives ?? [])]
  if (alternatives.length > MOST_ALTERNATIVES)
    throw new InvalidInput(`alternatives must be at most ${MOST_ALTERNATIVES}, not ${alternatives.length}`, {}, ['alternatives'])
  const { validFrom = null, validTo = null } = input
  if (validFrom && validTo && validTo <= validFrom) throw new InvalidInput('validTo must lie after validFrom', {}, ['validTo'])
  if (![question, ...alternatives].every(isReadable))
    throw new InvalidInput('A question and its alternatives need at least one letter, digit or pictogram', {}, ['question'])
  const { language } = detectLanguage(question)
  return {
    question,
    answer: cleanText(input.answer ?? '', { field: ['answer'], max: LONGEST_ANSWER, min: 0 }),
    alternatives: alternatives.map((text, at) => cleanText(text, { field: ['alternatives', String(at)], max: LONGEST_QUESTION })),
    locale: localeOf(input.locale) ?? (language === 'zh' ? 'zh' : 'en'),
    channel: cleanOptionalText(input.channel, { field: ['channel'], max: 60 }) ?? null,
    validFrom,
    validTo,
  }
}

/** A BCP 47 tag, with a dash or an underscore; another one would never be asked for. */
function localeOf(locale: string | null | undefined): string | undefined {
  const tag = cleanOptionalText(locale, { field: ['locale'], max: 35 })
  if (typeof tag !== 'string') return undefined
  try {
    Intl.getCanonicalLocales(tag.replaceAll('_', '-'))
  } catch {
    throw new InvalidInput(`locale must be a language tag such as en or zh-CN, not ${JSON.stringify(tag)}`, {}, ['locale'])
  }
  return tag
}

function checkVersion({ version }: FaqEntryRow, expected: number) {
  if (version !== expected) throw conflict(version, expected)
}

function conflict(version: number, expected: number) {
  return new Conflict(`This entry has version ${version} by now, not ${expected}`, 'VERSION_CONFLICT', { version }, ['expectedVersion'])
}
