import { type FormEvent, useState } from 'react'
import { run } from '../api.js'
import { Narrowing } from '../fields.js'
import {
  ReviewsDocument,
  type SentimentLabel,
  TextAccuracyDocument,
  TextAnalyseDocument,
  TextCorrectDocument,
} from '../generated/documents.js'
import { Badge, locale, PagedTable, Panel, timeOf, useLoaded, usePages, useWords, Waiting } from '../parts.js'

const LABELS = ['POSITIVE', 'NEUTRAL', 'NEGATIVE'] as const

export function Reviews() {
  const words = useWords()
  const [sentiment, setSentiment] = useState('')
  const [search, setSearch] = useState('')
  const [said, setSaid] = useState('')
  const where = { sentiment: (sentiment || null) as SentimentLabel | null, search: search.length > 1 ? search : null }
  const reviews = usePages(
    async (after, signal) => (await run(ReviewsDocument, { first: 25, after, where }, signal)).reviews,
    [sentiment, where.search],
  )
  const correct = async (reviewId: string, label: string) => {
    const { textCorrect } = await run(TextCorrectDocument, { input: { reviewId, task: 'SENTIMENT', label } })
    setSaid(textCorrect.userErrors[0]?.message ?? words.corrected)
    reviews.reload()
  }
  return (
    <>
      <Accuracy />
      <TryOut />
      <Panel
        title={words.reviews}
        actions={
          <Narrowing label={words.sentiment} of={[...LABELS, 'UNDECIDED']} value={sentiment} onValue={setSentiment} onSearch={setSearch} />
        }
      >
        {said && <p role="status">{said}</p>}
        <PagedTable
          of={reviews}
          keyOf={row => row.id}
          columns={[
            { title: words.text, cell: row => <span className="said">{row.text}</span> },
            {
              title: words.sentiment,
              cell: row => (row.sentiment ? <Badge state={row.sentiment.label} /> : (row.ignoredBecause ?? words.unread)),
            },
            {
              title: words.confidence,
              cell: row => (row.sentiment ? `${Math.round(100 * row.sentiment.confidence)} %` : ''),
              isNumber: true,
            },
            { title: words.intent, cell: row => row.intent?.name ?? '' },
            {
              title: words.aspects,
              cell: row =>
                row.aspects.length > 0 && (
                  <ul className="reasons">
                    {onceEach(row.aspects).map(({ aspect, label, excerpt }) => (
                      <li key={`${aspect} ${label}`} title={excerpt}>
                        {SIGNS[label]} {aspect}
                      </li>
                    ))}
                  </ul>
                ),
            },
            { title: words.product, cell: row => row.product?.title ?? '' },
            {
              title: words.at,
              cell: row => (
                <span className="date" title={timeOf(row.createdAt)}>
                  {new Date(row.createdAt).toLocaleDateString(locale(), { dateStyle: 'medium' })}
                </span>
              ),
            },
            {
              title: words.correct,
              cell: row => (
                <select
                  aria-label={words.correct}
                  value=""
                  onChange={event => correct(row.id, event.target.value).catch(error => setSaid(error.message))}
                >
                  <option value="">…</option>
                  {LABELS.map(label => (
                    <option key={label}>{label}</option>
                  ))}
                </select>
              ),
            },
          ]}
        />
      </Panel>
    </>
  )
}

/** An aspect that two sentences praise is told of once. */
function onceEach<Aspect extends { aspect: string; label: string }>(aspects: readonly Aspect[]): Aspect[] {
  return [...new Map(aspects.map(each => [`${each.aspect} ${each.label}`, each])).values()].slice(0, 4)
}

const SIGNS: Record<string, string> = { POSITIVE: '＋', NEGATIVE: '−', NEUTRAL: '·', UNDECIDED: '?' }

function Accuracy() {
  const words = useWords()
  const loaded = useLoaded(signal => run(TextAccuracyDocument, {}, signal), [])
  const data = loaded.data
  if (!data) return <Waiting of={loaded} />
  return (
    <div className="figures">
      {(
        [
          [words.sentiment, data.sentiment],
          [words.intent, data.intent],
        ] as const
      ).map(([title, each]) => (
        <div className="figure" key={title}>
          <strong>{each.accuracy.value === null ? '–' : `${Math.round(100 * (each.accuracy.value ?? 0))} %`}</strong>
          <span>
            {title}: {words.agreement} ({each.accuracy.sampleSize}) · {each.servedBy} · {each.corrections} {words.corrections}
          </span>
        </div>
      ))}
    </div>
  )
}

function TryOut() {
  const words = useWords()
  const [text, setText] = useState<string>()
  const loaded = useLoaded(async signal => (text ? (await run(TextAnalyseDocument, { text }, signal)).textAnalyse : undefined), [text])
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    setText(String(new FormData(event.currentTarget).get('text')))
  }
  const found = loaded.data
  return (
    <Panel title={words.tryText}>
      <form className="row" onSubmit={submit}>
        <input name="text" className="wide" required maxLength={20_000} aria-label={words.text} placeholder={words.tryTextHint} />
        <button type="submit">{words.look}</button>
      </form>
      {loaded.error && <Waiting of={loaded} />}
      {found && (
        <dl>
          <dt>{words.sentiment}</dt>
          <dd>
            <Badge state={found.sentiment.label} /> {Math.round(100 * found.sentiment.confidence)} % · {found.servedBy} · {found.language}
          </dd>
          <dt>{words.reasons}</dt>
          <dd>{found.terms.map(term => `${term.text} ${term.weight > 0 ? '+' : ''}${term.weight.toFixed(2)}`).join(' · ') || '–'}</dd>
          <dt>{words.intent}</dt>
          <dd>{found.intent ? `${found.intent.name} (${Math.round(100 * found.intent.confidence)} %)` : '–'}</dd>
          <dt>{words.aspects}</dt>
          <dd>{found.aspects.map(each => `${SIGNS[each.label]} ${each.aspect} (${each.excerpt})`).join(' · ') || '–'}</dd>
          <dt>{words.keywords}</dt>
          <dd>{found.keywords.join(' · ') || '–'}</dd>
        </dl>
      )}
    </Panel>
  )
}
