import { createBatcher } from '../platform/batcher.js'
import type { SqlDatabase } from '../platform/database.js'
import type { FaqStatus } from '../platform/generated/prisma/enums.js'
import { DECISION_COLUMNS, DECISION_TYPES } from '../registry/decisions.js'

export interface FaqContent {
  question: string
  answer: string
  alternatives: string[]
  locale: string
  channel: string | null
  validFrom: Date | null
  validTo: Date | null
}

export interface FaqEntryRow extends FaqContent {
  id: string
  externalId: string | null
  status: FaqStatus
  version: number
  approvedVersion: number | null
  origin: string
  approvedBy: string | null
  approvedAt: Date | null
  rejectedAt: Date | null
  createdAt: Date
  updatedAt: Date
}

/** An entry as it answers: its approved version. */
export type ServedEntry = FaqContent & Pick<FaqEntryRow, 'id' | 'status' | 'version'>

/** What an entry said before a change. */
export interface FaqVersionRow {
  version: number
  content: FaqContent
  changedBy: string
  changedAt: Date
}

export interface FaqFilter {
  status?: FaqStatus | null
  locale?: string | null
  channel?: string | null
  origin?: string | null
  search?: string | null
}

export interface NewQuestion {
  id: string
  text: string
  locale: string
  channel: string | null
  conversationId: string | null
  outcome: 'ANSWER' | 'CLARIFICATION' | 'HAND_OFF'
  reason: string | null
  entryId: string | null
  candidates: string[]
  confidence: number
  askedAt: Date
  /** Only of a hand-off. */
  ticketId: string | null
}

export interface QuestionRow extends Omit<NewQuestion, 'ticketId'> {
  helpful: boolean | null
  feedback: string | null
}

/** A hand-off, with what the conversation said until then. */
export interface TicketRow {
  id: string
  reason: string
  locale: string | null
  channel: string | null
  conversationId: string | null
  createdAt: Date
  closedAt: Date | null
  closedBy: string | null
  messages: { id: string; text: string; outcome: string; entryId: string | null; askedAt: string }[]
}

const MOST_MESSAGES = 20
const TICKETS = `SELECT t.*, q.locale, q.channel, m.messages FROM "FaqTicket" t LEFT JOIN "FaqQuestion" q ON q.id = t."questionId",
  LATERAL (SELECT COALESCE(json_agg(json_build_object('id', id, 'text', text, 'outcome', outcome, 'entryId', "entryId", 'askedAt', "askedAt") ORDER BY "askedAt", id), '[]') AS messages
    FROM (SELECT * FROM (SELECT o.* FROM "FaqQuestion" o WHERE o."conversationId" = t."conversationId" AND o."askedAt" <= t."createdAt" AND o."askedAt" > t."createdAt" - interval '1 day'
        UNION ALL SELECT q.* WHERE q.id IS NOT NULL AND t."conversationId" IS NULL) said ORDER BY "askedAt" DESC, id DESC LIMIT ${MOST_MESSAGES}) said) m`

const FILTER = `($1::"FaqStatus" IS NULL OR status = $1) AND ($2::text IS NULL OR locale = $2) AND ($3::text IS NULL OR channel = $3)
  AND ($4::text IS NULL OR origin = $4) AND ($5::text IS NULL OR question ILIKE $5 OR answer ILIKE $5 OR array_to_string(alternatives, ' ') ILIKE $5)`

export class FaqRepository {
  /** The array stands behind a SELECT, so that one plan serves conversations of any number. */
  private readonly recentOf = createBatcher<{ conversationId: string; since: Date; limit: number }, QuestionRow[]>(async asked => {
    const rows = await this.database.sql<QuestionRow & { place: bigint }>(
      `SELECT c.place, q.* FROM unnest((SELECT $1::text[]), (SELECT $2::timestamptz[]), (SELECT $3::int[])) WITH ORDINALITY AS c(id, since, most, place)
       CROSS JOIN LATERAL (SELECT * FROM "FaqQuestion" WHERE "conversationId" = c.id AND "askedAt" >= c.since ORDER BY "askedAt" DESC, id DESC LIMIT c.most) q
       ORDER BY c.place, q."askedAt" DESC, q.id DESC`,
      [asked.map(({ conversationId }) => conversationId), asked.map(({ since }) => since.toISOString()), asked.map(({ limit }) => limit)],
      'faq-recent',
    )
    const found = asked.map((): QuestionRow[] => [])
    for (const { place, ...row } of rows) found[Number(place) - 1].push(row)
    return found
  })
  /** Questions of the same moment share one statement with the decisions about them, so that a busy chatbot costs few commits. */
  private readonly addOne = createBatcher<NewQuestion & { decision: object }, void>(async rows => {
    await this.database.sql(
      `WITH asked AS (SELECT * FROM json_to_recordset($1) AS q(id text, text text, locale text, channel text, "conversationId" text, outcome text, reason text,
           "entryId" text, candidates text[], confidence float8, "askedAt" timestamptz, "ticketId" text, decision json)),
         decided AS (INSERT INTO "Decision" (${DECISION_COLUMNS}) SELECT d.* FROM asked, json_to_record(decision) AS d(${DECISION_TYPES})),
         tickets AS (INSERT INTO "FaqTicket" (id, "questionId", "conversationId", reason, "createdAt")
           SELECT "ticketId", id, "conversationId", reason, "askedAt" FROM asked WHERE "ticketId" IS NOT NULL)
       INSERT INTO "FaqQuestion" (id, text, locale, channel, "conversationId", outcome, reason, "entryId", candidates, confidence, "askedAt")
       SELECT id, text, locale, channel, "conversationId", outcome, reason, "entryId", candidates, confidence, "askedAt" FROM asked`,
      [JSON.stringify(rows)],
      'add-faq-questions',
    )
    return rows.map(() => undefined)
  })

  constructor(private readonly database: SqlDatabase) {}

  /** Of what `work` writes nothing stays. */
  rehearse<T>(work: (dry: FaqRepository) => Promise<T>): Promise<T> {
    return this.database.rehearse(dry => work(new FaqRepository(dry)))
  }

  /** Changes whenever what is served does, and once a day, so that what customers said of answers is learned from. */
  async mark(): Promise<string> {
    const [row] = await this.database.sql<{ mark: string }>(
      `SELECT concat_ws('|', current_date, count(*), max("updatedAt"), sum(version)) AS mark FROM "FaqEntry" WHERE "approvedVersion" IS NOT NULL OR status = 'RETIRED'`,
    )
    return row.mark
  }

  /** What answers: approved entries, and of those with a change in waiting the version that was approved. */
  async served(): Promise<ServedEntry[]> {
    const rows = await this.database.sql<ServedEntry & { approvedVersion: number; content: FaqContent | null }>(
      `SELECT e.*, v.content FROM "FaqEntry" e LEFT JOIN "FaqEntryVersion" v ON v."entryId" = e.id AND v.version = e."approvedVersion" AND e.status = 'DRAFT'
       WHERE e."approvedVersion" IS NOT NULL AND e.status <> 'RETIRED' ORDER BY e."createdAt", e.id`,
    )
    return rows.map(({ content, approvedVersion, ...row }) =>
      content ? { ...row, ...dated(content), version: approvedVersion, status: 'APPROVED' } : row,
    )
  }

  /** Questions that customers judged, newest first. */
  judged(limit: number): Promise<{ text: string; entryId: string; helpful: boolean }[]> {
    return this.database.sql(
      `SELECT text, "entryId", helpful FROM "FaqQuestion" WHERE helpful IS NOT NULL AND outcome = 'ANSWER' AND "entryId" IS NOT NULL ORDER BY "askedAt" DESC LIMIT $1`,
      [limit],
    )
  }

  async get(id: string): Promise<FaqEntryRow | undefined> {
    return (await this.database.sql<FaqEntryRow>('SELECT * FROM "FaqEntry" WHERE id = $1', [id]))[0]
  }

  byIds(ids: readonly string[]): Promise<FaqEntryRow[]> {
    return this.database.sql('SELECT * FROM "FaqEntry" WHERE id = ANY($1)', [ids])
  }

  page(filter: FaqFilter, after: { createdAt: string; id: string } | undefined, limit: number): Promise<FaqEntryRow[]> {
    return this.database.sql<FaqEntryRow>(
      `SELECT * FROM "FaqEntry" WHERE ${FILTER} AND ($6::timestamptz IS NULL OR ("createdAt", id) < ($6, $7)) ORDER BY "createdAt" DESC, id DESC LIMIT $8`,
      [...filterValues(filter), after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(filter: FaqFilter): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: bigint }>(`SELECT count(*) FROM "FaqEntry" WHERE ${FILTER}`, filterValues(filter))
    return Number(count)
  }

  /** Stores a draft; undefined when its external id is taken. */
  async create(entry: FaqContent & { id: string; externalId: string | null; origin: string }): Promise<FaqEntryRow | undefined> {
    const { id, externalId, question, answer, alternatives, locale, channel, validFrom, validTo, origin } = entry
    const [row] = await this.database.sql<FaqEntryRow>(
      `INSERT INTO "FaqEntry" (id, "externalId", question, answer, alternatives, locale, channel, "validFrom", "validTo", origin, "updatedAt")
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now()) ON CONFLICT ("externalId") DO NOTHING RETURNING *`,
      [id, externalId, question, answer, alternatives, locale, channel, validFrom, validTo, origin],
    )
    return row
  }

  /**
   * Changes an entry if it is still at `version`: what it said is kept as that version, the next version waits for approval. Of parallel calls exactly
   * one succeeds.
   */
  async update(id: string, version: number, content: FaqContent, by: string): Promise<FaqEntryRow | undefined> {
    const { question, answer, alternatives, locale, channel, validFrom, validTo } = content
    const [row] = await this.database.sql<FaqEntryRow>(
      `WITH old AS (SELECT * FROM "FaqEntry" WHERE id = $1 AND version = $2 FOR UPDATE),
         kept AS (INSERT INTO "FaqEntryVersion" ("entryId", version, content, "changedBy")
           SELECT id, version, jsonb_build_object('question', question, 'answer', answer, 'alternatives', alternatives, 'locale', locale, 'channel', channel,
             'validFrom', "validFrom", 'validTo', "validTo"), $10 FROM old ON CONFLICT DO NOTHING)
       UPDATE "FaqEntry" e SET question = $3, answer = $4, alternatives = $5, locale = $6, channel = $7, "validFrom" = $8, "validTo" = $9, status = 'DRAFT',
         version = e.version + 1, "rejectedAt" = NULL, "updatedAt" = clock_timestamp() FROM old WHERE e.id = old.id RETURNING e.*`,
      [id, version, question, answer, alternatives, locale, channel, validFrom, validTo, by],
    )
    return row
  }

  /** DRAFT → APPROVED: this version answers from now on. */
  async approve(id: string, version: number, by: string): Promise<FaqEntryRow | undefined> {
    const [row] = await this.database.sql<FaqEntryRow>(
      `UPDATE "FaqEntry" SET status = 'APPROVED', "approvedVersion" = version, "approvedBy" = $3, "approvedAt" = clock_timestamp(), "updatedAt" = clock_timestamp()
       WHERE id = $1 AND version = $2 AND status = 'DRAFT' RETURNING *`,
      [id, version, by],
    )
    return row
  }

  async retire(id: string, version: number): Promise<FaqEntryRow | undefined> {
    const [row] = await this.database.sql<FaqEntryRow>(
      `UPDATE "FaqEntry" SET status = 'RETIRED', "approvedVersion" = NULL, "updatedAt" = clock_timestamp() WHERE id = $1 AND version = $2 AND status <> 'RETIRED' RETURNING *`,
      [id, version],
    )
    return row
  }

  /** A draft that was never approved is retired; of one that was, the approved version comes back. */
  async reject(id: string, version: number, by: string): Promise<FaqEntryRow | undefined> {
    const [row] = await this.database.sql<FaqEntryRow>(
      `WITH old AS (SELECT e.*, v.content FROM "FaqEntry" e LEFT JOIN "FaqEntryVersion" v ON v."entryId" = e.id AND v.version = e."approvedVersion"
           WHERE e.id = $1 AND e.version = $2 AND e.status = 'DRAFT' FOR UPDATE OF e),
         kept AS (INSERT INTO "FaqEntryVersion" ("entryId", version, content, "changedBy")
           SELECT id, version, jsonb_build_object('question', question, 'answer', answer, 'alternatives', alternatives, 'locale', locale, 'channel', channel,
             'validFrom', "validFrom", 'validTo', "validTo"), $3 FROM old ON CONFLICT DO NOTHING)
       UPDATE "FaqEntry" e SET
         question = COALESCE(old.content->>'question', e.question), answer = COALESCE(old.content->>'answer', e.answer),
         alternatives = CASE WHEN old.content IS NULL THEN e.alternatives ELSE ARRAY(SELECT jsonb_array_elements_text(old.content->'alternatives')) END,
         locale = COALESCE(old.content->>'locale', e.locale), channel = CASE WHEN old.content IS NULL THEN e.channel ELSE old.content->>'channel' END,
         "validFrom" = CASE WHEN old.content IS NULL THEN e."validFrom" ELSE (old.content->>'validFrom')::timestamptz END,
         "validTo" = CASE WHEN old.content IS NULL THEN e."validTo" ELSE (old.content->>'validTo')::timestamptz END,
         status = (CASE WHEN old.content IS NULL THEN 'RETIRED' ELSE 'APPROVED' END)::"FaqStatus",
         "approvedVersion" = CASE WHEN old.content IS NULL THEN NULL ELSE e.version + 1 END,
         version = e.version + 1, "rejectedAt" = clock_timestamp(), "updatedAt" = clock_timestamp()
       FROM old WHERE e.id = old.id RETURNING e.*`,
      [id, version, by],
    )
    return row
  }

  /** The last hundred versions of each of these entries, newest first. */
  versions(entryIds: readonly string[]): Promise<(FaqVersionRow & { entryId: string })[]> {
    return this.database.sql(
      `SELECT v.* FROM unnest($1::text[]) AS e(id) CROSS JOIN LATERAL (
         SELECT "entryId", version, content, "changedBy", "changedAt" FROM "FaqEntryVersion" WHERE "entryId" = e.id ORDER BY version DESC LIMIT 100) v`,
      [entryIds],
    )
  }

  /** Stores a question, the decision about it (as `decisionRow` has it), and the ticket of a hand-off: all or nothing. */
  addQuestion(question: NewQuestion, decision: object): Promise<void> {
    return this.addOne({ ...question, decision })
  }

  /** The last questions of a conversation since a time, newest first. */
  recent(conversationId: string, since: Date, limit: number): Promise<QuestionRow[]> {
    return this.recentOf({ conversationId, since, limit })
  }

  /** What a customer said of an answer; the last word counts. Undefined when nothing was asked under this id. */
  async judge(id: string, helpful: boolean, feedback: string | null): Promise<QuestionRow | undefined> {
    const [row] = await this.database.sql<QuestionRow>(
      `UPDATE "FaqQuestion" SET helpful = $2, feedback = COALESCE($3, feedback), drafted = false WHERE id = $1 RETURNING *`,
      [id, helpful, feedback],
    )
    return row
  }

  /**
   * Questions that got no answer, or one that did not help, or were asked back and not taken up in the `silenceMs` that a conversation may rest, and of
   * which no draft was made; newest first.
   */
  unanswered(from: Date, now: Date, silenceMs: number, limit: number): Promise<{ id: string; text: string; locale: string }[]> {
    return this.database.sql(
      `SELECT id, text, locale FROM "FaqQuestion" q WHERE "askedAt" >= $1 AND NOT drafted AND ((outcome = 'HAND_OFF' AND reason IN ('UNSURE', 'UNKNOWN')) OR helpful = false
         OR (outcome = 'CLARIFICATION' AND candidates <> '{}' AND helpful IS NULL AND "conversationId" IS NOT NULL AND "askedAt" < $2::timestamptz - $3 * interval '1 ms'
           AND NOT EXISTS (SELECT 1 FROM "FaqQuestion" n WHERE n."conversationId" = q."conversationId" AND (n."askedAt", n.id) > (q."askedAt", q.id)
             AND n."askedAt" <= q."askedAt" + $3 * interval '1 ms')))
       ORDER BY "askedAt" DESC LIMIT $4`,
      [from, now, silenceMs, limit],
    )
  }

  /** Drafts that were made of questions and that nobody has looked at yet, oldest first. */
  questionDrafts(limit: number): Promise<Pick<FaqEntryRow, 'id' | 'question' | 'alternatives' | 'locale'>[]> {
    return this.database.sql(
      `SELECT id, question, alternatives, locale FROM "FaqEntry" WHERE origin = 'questions' AND status = 'DRAFT' AND version = 1 ORDER BY "createdAt", id LIMIT $1`,
      [limit],
    )
  }

  /** Stores a draft that is made of these questions, and that it is: both or neither. */
  async draft({ id, question, alternatives, locale }: FaqContent & { id: string }, questionIds: readonly string[]): Promise<void> {
    await this.database.sql(
      `WITH drafted AS (UPDATE "FaqQuestion" SET drafted = true WHERE id = ANY($5))
       INSERT INTO "FaqEntry" (id, question, answer, alternatives, locale, origin, "updatedAt") VALUES ($1, $2, '', $3, $4, 'questions', now())`,
      [id, question, alternatives, locale, questionIds],
    )
  }

  /** Adds these questions to a draft that nobody has looked at yet, up to `most` alternatives. One that somebody has stays as it is, and they wait for the next night. */
  async addToDraft(id: string, texts: readonly string[], most: number, questionIds: readonly string[]): Promise<void> {
    await this.database.sql(
      `WITH joined AS (UPDATE "FaqEntry" SET "updatedAt" = clock_timestamp(),
           alternatives = (alternatives || ARRAY(SELECT t FROM unnest($2::text[]) t WHERE t <> ALL(alternatives) AND t <> question))[1:$3]
         WHERE id = $1 AND status = 'DRAFT' AND version = 1 RETURNING id)
       UPDATE "FaqQuestion" SET drafted = true WHERE id = ANY($4) AND EXISTS (SELECT 1 FROM joined)`,
      [id, texts, most, questionIds],
    )
  }

  /** Questions and their tickets. */
  async forgetQuestionsBefore(time: Date): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: bigint }>(
      `WITH tickets AS (DELETE FROM "FaqTicket" WHERE "createdAt" < $1), questions AS (DELETE FROM "FaqQuestion" WHERE "askedAt" < $1 RETURNING 1)
       SELECT count(*) FROM questions`,
      [time],
    )
    return Number(count)
  }

  async ticket(id: string): Promise<TicketRow | undefined> {
    return (await this.database.sql<TicketRow>(`${TICKETS} WHERE t.id = $1`, [id]))[0]
  }

  /** Tickets, newest first. */
  tickets(isOpen: boolean | null, after: { createdAt: string; id: string } | undefined, limit: number): Promise<TicketRow[]> {
    return this.database.sql<TicketRow>(
      `${TICKETS} WHERE ($1::bool IS NULL OR (t."closedAt" IS NULL) = $1) AND ($2::timestamptz IS NULL OR (t."createdAt", t.id) < ($2, $3))
       ORDER BY t."createdAt" DESC, t.id DESC LIMIT $4`,
      [isOpen, after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async ticketCount(isOpen: boolean | null): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: bigint }>(
      'SELECT count(*) FROM "FaqTicket" WHERE $1::bool IS NULL OR ("closedAt" IS NULL) = $1',
      [isOpen],
    )
    return Number(count)
  }

  /** Whether it was open: of parallel calls the first closes it. */
  async closeTicket(id: string, by: string, at: Date): Promise<boolean> {
    const rows = await this.database.sql(
      'UPDATE "FaqTicket" SET "closedBy" = $2, "closedAt" = $3 WHERE id = $1 AND "closedAt" IS NULL RETURNING 1',
      [id, by, at],
    )
    return rows.length > 0
  }
}

function filterValues({ status, locale, channel, origin, search }: FaqFilter): unknown[] {
  return [status, locale, channel, origin, search].map(value => value ?? null)
}

function dated(content: FaqContent): FaqContent {
  const dateOf = (value: Date | string | null) => (value === null ? null : new Date(value))
  return { ...content, validFrom: dateOf(content.validFrom), validTo: dateOf(content.validTo) }
}
