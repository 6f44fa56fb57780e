import { type FormEvent, useState } from 'react'
import { run } from '../api.js'
import { Narrowing } from '../fields.js'
import {
  FaqAnswerDocument,
  FaqEntriesDocument,
  FaqEntryApproveDocument,
  FaqEntryCreateDocument,
  FaqEntryDocument,
  type FaqEntryPartsFragment,
  type FaqEntryQuery,
  FaqEntryRejectDocument,
  FaqEntryRetireDocument,
  FaqEntryUpdateDocument,
  type FaqStatus,
  FaqTicketCloseDocument,
  FaqTicketsDocument,
} from '../generated/documents.js'
import { Badge, Fault, go, PagedTable, Panel, Table, timeOf, useAct, useLoaded, usePages, useWords, Waiting } from '../parts.js'

export function Faq() {
  const words = useWords()
  const [status, setStatus] = useState('')
  const [search, setSearch] = useState('')
  const entries = usePages(
    async (after, signal) =>
      (
        await run(
          FaqEntriesDocument,
          { first: 25, after, where: { status: (status || null) as FaqStatus | null, search: search || null } },
          signal,
        )
      ).faqEntries,
    [status, search],
  )
  return (
    <>
      <TryOut />
      <Tickets />
      <Panel title={words.newEntry}>
        <Editor onSaved={id => go(`/faq/${id}`)} />
      </Panel>
      <Panel
        title={words.entries}
        actions={
          <Narrowing label={words.status} of={['DRAFT', 'APPROVED', 'RETIRED']} value={status} onValue={setStatus} onSearch={setSearch} />
        }
      >
        <PagedTable
          of={entries}
          keyOf={row => row.id}
          onRow={row => go(`/faq/${row.id}`)}
          columns={[
            { title: words.question, cell: row => <a href={`#/faq/${row.id}`}>{row.question}</a> },
            { title: words.answer, cell: row => <span className="said">{row.answer}</span> },
            { title: words.locale, cell: row => row.locale },
            { title: words.status, cell: row => <Badge state={row.status} /> },
            { title: words.version, cell: row => row.version, isNumber: true },
          ]}
        />
      </Panel>
    </>
  )
}

/** Customers who wait for a person. */
function Tickets() {
  const words = useWords()
  const [isOpen, setOpen] = useState(true)
  const tickets = usePages(
    async (after, signal) => (await run(FaqTicketsDocument, { first: 10, after, open: isOpen ? true : null }, signal)).faqTickets,
    [isOpen],
  )
  const { said, act } = useAct(tickets.reload)
  return (
    <Panel
      title={words.tickets}
      actions={
        <button type="button" className="plain" onClick={() => setOpen(!isOpen)}>
          {isOpen ? words.showAll : words.showOpen}
        </button>
      }
    >
      <Fault said={said} role="status" />
      <PagedTable
        of={tickets}
        keyOf={row => row.id}
        columns={[
          {
            title: words.question,
            cell: row => (
              <>
                {row.messages.map(({ text, decisionId }) => (
                  <div key={decisionId}>
                    <a href={`#/decisions/${decisionId}`}>{text}</a>
                  </div>
                ))}
              </>
            ),
          },
          { title: words.reason, cell: row => <Badge state={row.reason} /> },
          { title: words.channel, cell: row => [row.channel, row.conversationId].filter(Boolean).join(' · ') || '–' },
          { title: words.at, cell: row => timeOf(row.createdAt) },
          {
            title: '',
            cell: row =>
              row.closedAt ? (
                <span className="quiet">
                  {row.closedBy} {timeOf(row.closedAt)}
                </span>
              ) : (
                <button
                  type="button"
                  onClick={() => act(run(FaqTicketCloseDocument, { input: { ticketId: row.id } }).then(data => data.faqTicketClose))}
                >
                  {words.answered}
                </button>
              ),
          },
        ]}
      />
    </Panel>
  )
}

type History = Extract<FaqEntryQuery['node'], { history: unknown }>['history'] & object

export function FaqEntry({ id }: { id: string }) {
  const words = useWords()
  const loaded = useLoaded(async signal => (await run(FaqEntryDocument, { id }, signal)).node, [id])
  const { said, act } = useAct(loaded.reload)
  const entry = loaded.data as (FaqEntryPartsFragment & { history: History | null }) | null | undefined
  if (!entry) return <Waiting of={loaded} />
  const { history } = entry
  const input = { id, expectedVersion: entry.version }
  return (
    <>
      <p>
        <a href="#/faq">← {words.back}</a>
      </p>
      <Panel title={entry.question} actions={<Badge state={entry.status} />}>
        {history && (
          <p className="quiet">
            {words.version} {entry.version} · {words.serves}: {history.approvedVersion ?? '–'} · {words.reviewedBy}:{' '}
            {history.approvedBy ?? '–'} {history.approvedAt ? timeOf(history.approvedAt) : ''} · {history.origin}
          </p>
        )}
        <Fault said={said} role="status" />
        <div className="row">
          {entry.status === 'DRAFT' && (
            <>
              <button type="button" onClick={() => act(run(FaqEntryApproveDocument, { input }).then(data => data.faqEntryApprove))}>
                {words.approveEntry}
              </button>
              <button
                type="button"
                className="plain"
                onClick={() => act(run(FaqEntryRejectDocument, { input }).then(data => data.faqEntryReject))}
              >
                {words.reject}
              </button>
            </>
          )}
          {entry.status !== 'RETIRED' && (
            <button
              type="button"
              className="plain"
              onClick={() => act(run(FaqEntryRetireDocument, { input }).then(data => data.faqEntryRetire))}
            >
              {words.retire}
            </button>
          )}
        </div>
        <Editor key={entry.version} entry={entry} onSaved={loaded.reload} />
      </Panel>
      {history && history.versions.length > 0 && (
        <Panel title={words.earlier}>
          <Table
            rows={history.versions}
            keyOf={row => String(row.version)}
            columns={[
              { title: words.version, cell: row => row.version, isNumber: true },
              { title: words.question, cell: row => (row.content as { question: string }).question },
              { title: words.answer, cell: row => <span className="said">{(row.content as { answer: string }).answer}</span> },
              { title: words.reviewedBy, cell: row => row.changedBy },
              { title: words.at, cell: row => timeOf(row.changedAt) },
            ]}
          />
        </Panel>
      )}
    </>
  )
}

function Editor({ entry, onSaved }: { entry?: FaqEntryPartsFragment; onSaved(id: string): void }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => String(form.get(name) ?? '').trim()
    const content = {
      question: text('question'),
      answer: text('answer'),
      alternatives: text('alternatives')
        .split('\n')
        .map(line => line.trim())
        .filter(line => line !== ''),
      locale: text('locale') || null,
      channel: text('channel') || null,
      validFrom: text('validFrom') ? new Date(text('validFrom')).toISOString() : null,
      validTo: text('validTo') ? new Date(text('validTo')).toISOString() : null,
    }
    const outcome = entry
      ? (await run(FaqEntryUpdateDocument, { input: { id: entry.id, expectedVersion: entry.version, ...content } })).faqEntryUpdate
      : (await run(FaqEntryCreateDocument, { input: { ...content, dryRun: false } })).faqEntryCreate
    setSaid(outcome.userErrors[0]?.message ?? '')
    if (outcome.entry) onSaved(outcome.entry.id)
  }
  const day = (time: string | null | undefined) => time?.slice(0, 10) ?? ''
  return (
    <form className="editor" onSubmit={event => void submit(event).catch(error => setSaid(error.message))}>
      <label>
        {words.question}
        <input name="question" required maxLength={1_000} defaultValue={entry?.question} />
      </label>
      <label>
        {words.answer}
        <textarea name="answer" rows={4} maxLength={10_000} defaultValue={entry?.answer} />
      </label>
      <label>
        {words.alternatives}
        <textarea name="alternatives" rows={3} defaultValue={entry?.alternatives.join('\n')} />
      </label>
      <div className="row">
        <label>
          {words.locale}
          <input name="locale" maxLength={35} placeholder={words.detected} defaultValue={entry?.locale} />
        </label>
        <label>
          {words.channel}
          <input name="channel" maxLength={60} placeholder={words.everywhere} defaultValue={entry?.channel ?? ''} />
        </label>
        <label>
          {words.validFrom}
          <input name="validFrom" type="date" defaultValue={day(entry?.validFrom)} />
        </label>
        <label>
          {words.validTo}
          <input name="validTo" type="date" defaultValue={day(entry?.validTo)} />
        </label>
        <button type="submit">{words.saveDraft}</button>
      </div>
      <Fault said={said} />
    </form>
  )
}

interface Said {
  question: string
  answer: string
  detail: string
  decisionId: string
}

function TryOut() {
  const words = useWords()
  const [talk, setTalk] = useState<Said[]>([])
  const [fault, setFault] = useState('')
  const [conversationId] = useState(() => crypto.randomUUID?.() ?? String(Math.random()))
  const ask = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const question = String(new FormData(form).get('question')).trim()
    const { faqAnswer } = await run(FaqAnswerDocument, { question, conversationId })
    const { decisionId } = faqAnswer
    const told =
      'text' in faqAnswer
        ? {
            answer: faqAnswer.text,
            detail: `${faqAnswer.entry.question} · ${Math.round(100 * faqAnswer.confidence)} % · ${faqAnswer.matchedTerms.join(' ')}`,
          }
        : 'message' in faqAnswer
          ? { answer: faqAnswer.message, detail: faqAnswer.reason }
          : { answer: faqAnswer.question, detail: words.clarification }
    setFault('')
    setTalk(before => [...before, { question, decisionId, ...told }])
    form.reset()
  }
  return (
    <Panel title={words.tryQuestion}>
      <ol className="talk" aria-live="polite">
        {talk.map(({ question, answer, detail, decisionId }) => (
          <li key={decisionId}>
            <p className="asked">{question}</p>
            <p className="card">{answer}</p>
            <small>
              {detail} · <a href={`#/decisions/${decisionId}`}>{words.why}</a>
            </small>
          </li>
        ))}
      </ol>
      <form className="row" onSubmit={event => void ask(event).catch(error => setFault(error.message))}>
        <input
          name="question"
          className="wide"
          required
          maxLength={2_000}
          aria-label={words.question}
          placeholder={words.tryQuestionHint}
        />
        <button type="submit">{words.ask}</button>
      </form>
      <Fault said={fault} />
    </Panel>
  )
}
