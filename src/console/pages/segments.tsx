import { useState } from 'react'
import { run } from '../api.js'
import {
  RuleWordsDocument,
  SegmentCreateDocument,
  SegmentDocument,
  SegmentExplainMembershipDocument,
  SegmentPreviewDocument,
  SegmentsDocument,
  SegmentUpdateDocument,
  UserIdDocument,
} from '../generated/documents.js'
import { AskedTwice, Badge, go, Members, PagedTable, Panel, timeOf, useLoaded, usePages, useTerm, useWords, Waiting } from '../parts.js'

type Clause = Record<string, unknown>

export function Segments() {
  const words = useWords()
  const segments = usePages(async (after, signal) => (await run(SegmentsDocument, { first: 25, after }, signal)).segments, [])
  return (
    <>
      <Panel title={words.newSegment}>
        <Builder onSaved={id => go(`/segments/${id}`)} />
      </Panel>
      <Panel title={words.segments}>
        <PagedTable
          of={segments}
          keyOf={row => row.id}
          onRow={row => go(`/segments/${row.id}`)}
          columns={[
            { title: words.name, cell: row => <a href={`#/segments/${row.id}`}>{row.name}</a> },
            { title: words.size, cell: row => row.size.toLocaleString(), isNumber: true },
            { title: words.status, cell: row => <Badge state={row.status} /> },
            { title: words.evaluated, cell: row => timeOf(row.evaluatedAt) },
            { title: words.lag, cell: row => (row.lagSeconds === null ? '–' : `${Math.round(row.lagSeconds)} s`), isNumber: true },
            { title: words.reason, cell: row => row.failure ?? '' },
          ]}
        />
      </Panel>
    </>
  )
}

export function Segment({ id }: { id: string }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const loaded = useLoaded(signal => run(SegmentDocument, { id }, signal), [id])
  const segment = loaded.data?.segment
  if (!loaded.data) return <Waiting of={loaded} />
  if (!segment) return <p className="quiet">{words.nothing}</p>
  const archive = async () => {
    const { segmentUpdate } = await run(SegmentUpdateDocument, {
      input: { segmentId: id, expectedVersion: segment.version, archive: true, dryRun: false },
    })
    if (segmentUpdate.userErrors.length > 0) setSaid(segmentUpdate.userErrors[0].message)
    else go('/segments')
  }
  return (
    <>
      <p>
        <a href="#/segments">← {words.back}</a>
      </p>
      <Panel title={segment.name} actions={<Badge state={segment.status} />}>
        <p>
          {words.size}: {segment.size.toLocaleString()} · {words.evaluated}: {timeOf(segment.evaluatedAt)}
          {segment.lagSeconds === null ? '' : ` · ${words.lag}: ${Math.round(segment.lagSeconds)} s`}
        </p>
        {segment.failure && <p className="fault">{segment.failure}</p>}
        {said && <p role="status">{said}</p>}
        <AskedTwice
          label={words.archive}
          question={words.archiveSegmentQuestion}
          onYes={() => archive().catch(error => setSaid(error.message))}
        />
      </Panel>
      <Panel title={words.rule}>
        <Builder
          key={segment.version}
          segment={{ id, name: segment.name, version: segment.version, rule: segment.rule as Clause }}
          onSaved={() => loaded.reload()}
        />
      </Panel>
      <div className="columns">
        <Panel title={words.members}>
          <Members rows={segment.members.nodes} />
        </Panel>
        <Panel title={words.explain}>
          <Explain segmentId={id} />
        </Panel>
      </div>
    </>
  )
}

interface Explained {
  holds: boolean
  seen?: unknown
  clause?: Clause
  all?: Explained[]
  any?: Explained[]
  not?: Explained
}

function Explain({ segmentId }: { segmentId: string }) {
  const words = useWords()
  const [externalId, setExternalId] = useState('')
  const [said, setSaid] = useState('')
  const [found, setFound] = useState<{ matches: boolean; rule: Explained }>()
  const ask = async () => {
    setFound(undefined)
    const { user } = await run(UserIdDocument, { externalId })
    if (!user) return setSaid(words.unknownUser)
    const { segmentExplainMembership } = await run(SegmentExplainMembershipDocument, { segmentId, userId: user.id })
    setSaid('')
    setFound(segmentExplainMembership as { matches: boolean; rule: Explained })
  }
  return (
    <>
      <form
        className="row"
        onSubmit={event => {
          event.preventDefault()
          ask().catch(error => setSaid(error.message))
        }}
      >
        <input
          aria-label={words.externalId}
          placeholder="u-000001"
          value={externalId}
          onChange={event => setExternalId(event.target.value)}
          required
        />
        <button type="submit">{words.explain}</button>
      </form>
      {said && <p role="status">{said}</p>}
      {found && (
        <>
          <p>
            <strong>{externalId}</strong> {found.matches ? words.isMember : words.isNoMember}
          </p>
          <ul className="checks">
            <Explanation of={found.rule} />
          </ul>
        </>
      )}
    </>
  )
}

function Explanation({ of }: { of: Explained }) {
  const words = useWords()
  const parts = of.all ?? of.any ?? (of.not ? [of.not] : [])
  const term = useTerm()
  const title = of.all ? words.matchAll : of.any ? words.matchAny : of.not ? words.not : clauseText(of.clause ?? {}, term)
  return (
    <li className={of.holds ? 'ok' : 'failed'}>
      <strong>{title}</strong>
      {of.clause && (
        <span>
          {words.seen}: {JSON.stringify(of.seen ?? null)}
        </span>
      )}
      {parts.length > 0 && (
        <ul className="checks">
          {parts.map((part, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a part is its place in the rule
            <Explanation key={index} of={part} />
          ))}
        </ul>
      )}
    </li>
  )
}

function clauseText(clause: Clause, term: (name: string) => string): string {
  const say = (value: unknown) => term(String(value))
  return Object.entries(clause)
    .map(
      ([name, value]) =>
        `${term(name)} ${typeof value === 'object' && value !== null ? Object.values(value).map(say).join(' ') : say(value)}`,
    )
    .join(', ')
}

const TRAITS = ['country', 'city', 'gender', 'locale', 'birthYear', 'anonymous', 'createdAt', 'lastEventAt', 'lastOrderAt', 'nextOrderAt']
const OPERATORS = ['EQ', 'NE', 'GT', 'GTE', 'LT', 'LTE', 'EXISTS']
const EVENTS = ['VIEW', 'CLICK', 'SEARCH', 'ADD_TO_CART', 'ADD_TO_WISHLIST', 'CHECKOUT', 'PURCHASE', 'REFUND', 'RATING', 'PAGE', 'CUSTOM']
const PREDICTIONS = ['churnProbability', 'purchaseProbability', 'lifetimeValue']
const GROUPS = ['champions', 'loyal', 'potentialLoyal', 'new', 'needAttention', 'atRisk', 'cannotLose', 'hibernating', 'lost']
const FRESH: Record<string, Clause> = {
  did: { did: { type: 'PURCHASE', atLeast: 1, withinDays: 30 } },
  didThenNot: { didThenNot: { first: 'ADD_TO_CART', butNot: 'PURCHASE', withinHours: 24, lastDays: 7 } },
  feature: { feature: { name: 'monetary', op: 'GT', value: 100 } },
  prediction: { prediction: { name: 'churnProbability', op: 'GT', value: 0.5 } },
  trait: { trait: { name: 'country', op: 'EQ', value: 'CN' } },
  affinity: { affinity: { category: 'Books', atLeast: 0.3 } },
  rfm: { rfm: ['champions'] },
  cluster: { cluster: 'c1' },
  consent: { consent: 'ADS' },
  inSegment: { inSegment: '' },
}

interface BuilderProps {
  segment?: { id: string; name: string; version: number; rule: Clause }
  onSaved(id: string): void
}

/** Clauses one below the other, and the same rule as data; what the one cannot show, the other can. */
function Builder({ segment, onSaved }: BuilderProps) {
  const words = useWords()
  const term = useTerm()
  const choices = useLoaded(signal => run(RuleWordsDocument, {}, signal), [])
  const [name, setName] = useState(segment?.name ?? '')
  const [text, setText] = useState(JSON.stringify(segment?.rule ?? { all: [FRESH.did] }, null, 2))
  const [said, setSaid] = useState('')
  const rule = parsed(text)
  const joint = rule && ('any' in rule ? 'any' : 'all')
  const clauses = rule && (((rule.any ?? rule.all) as Clause[] | undefined) ?? [rule])
  const keep = (next: Clause[], kind: string = joint ?? 'all') => setText(JSON.stringify({ [kind]: next }, null, 2))
  const act = async (work: () => Promise<string>) => setSaid(await work().catch(error => error.message))
  const preview = () =>
    act(async () => {
      const { segmentPreview } = await run(SegmentPreviewDocument, { ruleJson: rule })
      return `${segmentPreview.size.toLocaleString()} ${words.wouldMatch} (${(100 * segmentPreview.share).toFixed(1)} %)`
    })
  const save = () =>
    act(async () => {
      const { segment: saved, userErrors } = segment
        ? (
            await run(SegmentUpdateDocument, {
              input: { segmentId: segment.id, expectedVersion: segment.version, name, ruleJson: rule, archive: false, dryRun: false },
            })
          ).segmentUpdate
        : (await run(SegmentCreateDocument, { input: { name, ruleJson: rule, dryRun: false } })).segmentCreate
      if (saved) onSaved(saved.id)
      return userErrors[0]?.message ?? ''
    })
  const lists: Lists = {
    features: choices.data?.profileFeatures.map(each => each.name) ?? ['monetary'],
    clusters: choices.data?.clusters.map(each => each.key) ?? [],
    segments: choices.data?.segments.nodes.filter(each => each.id !== segment?.id) ?? [],
  }
  return (
    <form
      onSubmit={event => {
        event.preventDefault()
        void save()
      }}
    >
      <div className="row">
        <label>
          {words.name}
          <input value={name} onChange={event => setName(event.target.value)} required maxLength={200} />
        </label>
        {clauses && (
          <select aria-label={words.rule} value={joint} onChange={event => keep(clauses, event.target.value)}>
            <option value="all">{words.matchAll}</option>
            <option value="any">{words.matchAny}</option>
          </select>
        )}
        <select aria-label={words.addClause} value="" onChange={event => keep([...(clauses ?? []), FRESH[event.target.value]])}>
          <option value="">+ {words.addClause}</option>
          {Object.keys(FRESH).map(kind => (
            <option key={kind} value={kind}>
              {term(kind)}
            </option>
          ))}
        </select>
      </div>
      {clauses?.map((clause, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a clause is its place in the rule
        <div className="row clause" key={index}>
          <ClauseEditor clause={clause} lists={lists} onChange={next => keep(clauses.map((each, at) => (at === index ? next : each)))} />
          <button type="button" className="plain" onClick={() => keep(clauses.filter((_, at) => at !== index))}>
            {words.remove}
          </button>
        </div>
      ))}
      <details>
        <summary>JSON</summary>
        <p className="quiet">{words.ruleHint}</p>
        <textarea aria-label={words.rule} rows={10} value={text} onChange={event => setText(event.target.value)} spellCheck={false} />
      </details>
      {said && <p role="status">{said}</p>}
      <div className="row">
        <button type="submit" disabled={!rule}>
          {words.save}
        </button>
        <button type="button" className="plain" disabled={!rule} onClick={() => void preview()}>
          {words.preview}
        </button>
      </div>
    </form>
  )
}

interface Lists {
  features: string[]
  clusters: string[]
  segments: readonly { id: string; name: string }[]
}

function ClauseEditor({ clause, lists, onChange }: { clause: Clause; lists: Lists; onChange(next: Clause): void }) {
  const words = useWords()
  const term = useTerm()
  const isNot = 'not' in clause
  const inner = (isNot ? clause.not : clause) as Clause
  const [[kind, value] = ['', null]] = Object.entries(inner)
  const put = (next: unknown) => onChange(isNot ? { not: { [kind]: next } } : { [kind]: next })
  const turn = (
    <label className="check">
      <input type="checkbox" checked={isNot} onChange={() => onChange(isNot ? inner : { not: inner })} /> {words.not}
    </label>
  )
  const plain = { rfm: GROUPS, cluster: lists.clusters, consent: ['ANALYTICS', 'PERSONALISATION', 'PROFILING', 'ADS', 'MESSAGING'] }[kind]
  if (plain) {
    const chosen = String(Array.isArray(value) ? (value[0] ?? '') : value)
    return (
      <>
        {turn}
        <strong>{term(kind)}</strong>
        <Choice name={kind} of={[...new Set([...plain, chosen])]} value={chosen} onChange={next => put(kind === 'rfm' ? [next] : next)} />
      </>
    )
  }
  if (kind === 'inSegment')
    return (
      <>
        {turn}
        <strong>{term(kind)}</strong>
        <select aria-label={kind} value={String(value)} onChange={event => put(event.target.value)}>
          <option value="">–</option>
          {lists.segments.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </>
    )
  if (typeof value !== 'object' || value === null || !(kind in FRESH)) return <code>{JSON.stringify(clause)}</code>
  const parts = value as Record<string, unknown>
  const options: Record<string, string[]> = {
    op: OPERATORS,
    type: EVENTS,
    first: EVENTS,
    butNot: EVENTS,
    name: { feature: lists.features, prediction: PREDICTIONS, trait: TRAITS }[kind] ?? [],
  }
  return (
    <>
      {turn}
      <strong>{term(kind)}</strong>
      {Object.entries(parts).map(([name, part]) => (
        <span key={name} className="part">
          {term(name)}{' '}
          {(options[name] ?? []).length > 0 ? (
            <Choice
              name={name}
              of={[...new Set([...options[name], String(part)])]}
              value={String(part)}
              onChange={next => put({ ...parts, [name]: next })}
            />
          ) : (
            <input
              aria-label={name}
              value={String(part)}
              size={10}
              onChange={event => put({ ...parts, [name]: typeof part === 'number' ? numberIn(event.target.value) : event.target.value })}
            />
          )}
        </span>
      ))}
    </>
  )
}

function Choice({ name, of, value, onChange }: { name: string; of: readonly string[]; value: string; onChange(next: string): void }) {
  const term = useTerm()
  return (
    <select aria-label={name} value={value} onChange={event => onChange(event.target.value)}>
      {of.map(each => (
        <option key={each} value={each}>
          {term(each)}
        </option>
      ))}
    </select>
  )
}

function numberIn(text: string): number | string {
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}

function parsed(text: string): Clause | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Clause) : undefined
  } catch {
    return undefined
  }
}
