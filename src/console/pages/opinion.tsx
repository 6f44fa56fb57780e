import { useState } from 'react'
import { run } from '../api.js'
import {
  OpinionAcknowledgeDocument,
  type OpinionAction,
  OpinionActionDecideDocument,
  OpinionAlertsDocument,
  type OpinionAlertsQuery,
  OpinionQualityDocument,
  OpinionTimelineDocument,
  type OpinionTimelineQuery,
} from '../generated/documents.js'
import { Badge, More, Panel, timeOf, useLoaded, usePages, useWords, Waiting } from '../parts.js'

type Point = OpinionTimelineQuery['opinionTimeline'][number]
type Alert = OpinionAlertsQuery['opinionAlerts']['nodes'][number]
const DAY_MS = 86_400_000

export function Opinion() {
  const words = useWords()
  const [category, setCategory] = useState('')
  const [days, setDays] = useState(90)
  const timeline = useLoaded(
    signal =>
      run(
        OpinionTimelineDocument,
        { category: category || null, from: new Date(Date.now() - days * DAY_MS).toISOString(), bucket: 'day' },
        signal,
      ),
    [category, days],
  )
  const quality = useLoaded(signal => run(OpinionQualityDocument, {}, signal), [])
  const [isOpen, setOpen] = useState(true)
  const alerts = usePages(
    async (after, signal) => (await run(OpinionAlertsDocument, { first: 10, after, open: isOpen ? true : null }, signal)).opinionAlerts,
    [isOpen],
  )
  const rate = quality.data?.opinionQuality.falseAlarms
  return (
    <>
      <Panel
        title={words.timeline}
        actions={
          <div className="row">
            <input
              className="search"
              aria-label={words.category}
              placeholder={words.categoryOrAll}
              onKeyDown={event => event.key === 'Enter' && setCategory(event.currentTarget.value.trim())}
              onBlur={event => setCategory(event.currentTarget.value.trim())}
            />
            <select aria-label={words.days} value={days} onChange={event => setDays(Number(event.target.value))}>
              {[30, 90, 365].map(each => (
                <option key={each} value={each}>
                  {each} {words.days}
                </option>
              ))}
            </select>
          </div>
        }
      >
        <Waiting of={timeline} />
        {timeline.data && <Chart points={timeline.data.opinionTimeline} />}
      </Panel>
      <Panel
        title={words.alerts}
        actions={
          <div className="row">
            {rate && (
              <span className="quiet">
                {words.falseAlarms}: {rate.value === null ? '–' : `${Math.round(100 * (rate.value ?? 0))} %`} ({rate.sampleSize})
              </span>
            )}
            <button type="button" className="plain" onClick={() => setOpen(!isOpen)}>
              {isOpen ? words.showAll : words.showOpen}
            </button>
          </div>
        }
      >
        <Waiting of={alerts} />
        {alerts.data && alerts.rows.length === 0 && <p className="quiet">{words.nothing}</p>}
        {alerts.rows.map(alert => (
          <AlertCard key={alert.id} alert={alert} onChange={alerts.reload} />
        ))}
        <More of={alerts} />
      </Panel>
    </>
  )
}

function AlertCard({ alert, onChange }: { alert: Alert; onChange(): void }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const acknowledge = async (isFalseAlarm: boolean) => {
    const { opinionAcknowledge } = await run(OpinionAcknowledgeDocument, { input: { alertId: alert.id, isFalseAlarm } })
    if (opinionAcknowledge.userErrors.length > 0) setSaid(opinionAcknowledge.userErrors[0].message)
    else onChange()
  }
  const decide = async (action: OpinionAction, confirm: boolean) => {
    const { opinionActionDecide } = await run(OpinionActionDecideDocument, { input: { alertId: alert.id, action, confirm } })
    if (opinionActionDecide.userErrors.length > 0) setSaid(opinionActionDecide.userErrors[0].message)
    else onChange()
  }
  const told = (work: Promise<void>) => void work.catch(error => setSaid(error.message))
  return (
    <article className="alert">
      <header>
        <strong>{alert.subject}</strong>{' '}
        {alert.subjects.length > 1 && (
          <span className="quiet">
            {words.also} {alert.subjects.slice(1).join(' · ')}
          </span>
        )}{' '}
        <span className="quiet">{timeOf(alert.startedAt)}</span> <span className="badge failed">{alert.severity.toFixed(1)} σ</span>{' '}
        <span className="quiet">{words[KINDS[alert.kind] ?? 'mentions']}</span>
      </header>
      <p>
        {words.terms}: {alert.terms.join(' · ') || '–'}
      </p>
      <ul className="reasons">
        {alert.sample.map(({ id, text }) => (
          <li key={id} className="said">
            “{text}”
          </li>
        ))}
      </ul>
      <div className="row proposals">
        {alert.proposals.map(({ action, state, by, at, note }) =>
          state === 'PROPOSED' || state === 'FAILED' ? (
            <span key={action}>
              <button type="button" onClick={() => told(decide(action, true))}>
                {words[ACTIONS[action]]}
              </button>{' '}
              <button type="button" className="plain" onClick={() => told(decide(action, false))}>
                {words.dismiss}
              </button>
              {state === 'FAILED' && <Badge state={state} />}
              {note ? <small className="fault"> {note}</small> : null}
            </span>
          ) : (
            <span key={action} className="quiet" title={at ? `${by ?? ''} ${timeOf(at)}` : undefined}>
              {words[ACTIONS[action]]} <Badge state={state} /> {note}
            </span>
          ),
        )}
      </div>
      <div className="row">
        {alert.acknowledgedBy ? (
          <span className="quiet">
            {words.acknowledgedBy} {alert.acknowledgedBy}
            {alert.isFalseAlarm ? ` · ${words.falseAlarm}` : ''}
          </span>
        ) : (
          <>
            <button type="button" className="plain" onClick={() => told(acknowledge(false))}>
              {words.acknowledge}
            </button>
            <button type="button" className="plain" onClick={() => told(acknowledge(true))}>
              {words.falseAlarm}
            </button>
          </>
        )}
      </div>
      {said && <p role="status">{said}</p>}
    </article>
  )
}

const KINDS: Record<string, 'mentions' | 'complaints' | 'both'> = { volume: 'mentions', negative: 'complaints', both: 'both' }
const ACTIONS = { PAUSE_ADS: 'pauseAds', DEMOTE: 'demote', FAQ_ENTRY: 'draftFaq', NOTIFY: 'notify' } as const

/** Mentions as bars, their negative part dark; what is usual as a band. */
function Chart({ points }: { points: readonly Point[] }) {
  const words = useWords()
  const [width, height] = [900, 180]
  // What was said fills the height; the band is cut off above it.
  const most = 1.25 * Math.max(1, ...points.map(({ mentions, expected }) => Math.max(mentions, expected)))
  const x = (at: number) => (at / Math.max(1, points.length)) * width
  const y = (value: number) => height - (Math.min(value, most) / most) * height
  const bar = width / Math.max(1, points.length)
  const band = [
    ...points.map(({ high }, at) => `${x(at) + bar / 2},${y(high)}`),
    ...points.map(({ low }, at) => `${x(at) + bar / 2},${y(low)}`).reverse(),
  ].join(' ')
  const all = points.reduce((sum, { mentions }) => sum + mentions, 0)
  return (
    <>
      <svg
        className="chart over-time"
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${words.timeline}: ${all} ${words.mentions}`}
      >
        <polygon points={band} fill="var(--accent)" opacity="0.12" />
        {points.map(({ at, mentions, negativeShare }, place) => (
          <g key={at}>
            <title>{`${timeOf(at)}: ${mentions} ${words.mentions}, ${Math.round(100 * negativeShare)} % −`}</title>
            <rect
              x={x(place)}
              y={y(mentions)}
              width={Math.max(1, bar - 1)}
              height={height - y(mentions)}
              fill="var(--quiet)"
              opacity="0.45"
            />
            <rect
              x={x(place)}
              y={y(mentions * negativeShare)}
              width={Math.max(1, bar - 1)}
              height={height - y(mentions * negativeShare)}
              fill="var(--bad)"
            />
          </g>
        ))}
        <polyline
          points={points.map(({ expected }, at) => `${x(at) + bar / 2},${y(expected)}`).join(' ')}
          fill="none"
          stroke="var(--accent)"
          strokeWidth="1.5"
        />
      </svg>
      <p className="quiet">
        {words.chartHint} · {all} {words.mentions}
      </p>
    </>
  )
}
