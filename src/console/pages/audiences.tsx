import { type FormEvent, useEffect, useState } from 'react'
import { run, storedKey } from '../api.js'
import {
  AudienceArchiveDocument,
  AudienceChoicesDocument,
  AudienceCreateDocument,
  AudienceDocument,
  AudienceExportDocument,
  AudienceRebuildDocument,
  AudiencesDocument,
  ExportJobDocument,
} from '../generated/documents.js'
import {
  AskedTwice,
  Badge,
  Fault,
  go,
  isPreview,
  Members,
  PagedTable,
  Panel,
  Table,
  timeOf,
  useLoaded,
  usePages,
  useWords,
  Waiting,
} from '../parts.js'
import type { Words } from '../words.js'

const POLL_MS = 1_000
const KINDS = ['segment', 'lookalike', 'prediction', 'product', 'category'] as const
type Kind = (typeof KINDS)[number]
const PREDICTIONS = ['PURCHASE', 'CHURN', 'LIFETIME_VALUE'] as const
const FORMATS = ['GOOGLE_CUSTOMER_MATCH', 'META_CUSTOM_AUDIENCES', 'TIKTOK', 'CSV'] as const
const PURPOSES = ['ADS', 'MESSAGING', 'ANALYTICS', 'PERSONALISATION', 'PROFILING'] as const

interface Excluded {
  reason: string
  count: number
}

export function Audiences() {
  const words = useWords()
  const audiences = usePages(async (after, signal) => (await run(AudiencesDocument, { first: 25, after }, signal)).audiences, [])
  return (
    <>
      <Panel title={words.newAudience}>
        <Builder />
      </Panel>
      <Panel title={words.audiences}>
        <PagedTable
          of={audiences}
          keyOf={row => row.id}
          onRow={row => go(`/audiences/${row.id}`)}
          columns={[
            { title: words.name, cell: row => <a href={`#/audiences/${row.id}`}>{row.name}</a> },
            { title: words.source, cell: row => words[row.source] },
            { title: words.size, cell: row => row.size.toLocaleString(), isNumber: true },
            { title: words.status, cell: row => <Badge state={row.status} /> },
            { title: words.built, cell: row => timeOf(row.builtAt) },
            { title: words.reason, cell: row => row.failure ?? '' },
          ]}
        />
      </Panel>
    </>
  )
}

/** What an audience is made from decides which of the fields are asked for. */
function Builder() {
  const words = useWords()
  const choices = useLoaded(signal => run(AudienceChoicesDocument, {}, signal), [])
  const [kind, setKind] = useState<Kind>('prediction')
  const [said, setSaid] = useState('')
  const [preview, setPreview] = useState<{ size: number | null; excluded: Excluded[] }>()
  const create = async (form: HTMLFormElement, dryRun: boolean) => {
    const data = new FormData(form)
    const text = (name: string) => String(data.get(name) ?? '').trim()
    const sources = {
      segment: { segmentId: text('from') },
      lookalike: { seedAudienceId: text('from'), share: Number(text('share') || 5) / 100 },
      prediction: { prediction: text('from') as (typeof PREDICTIONS)[number], ascending: text('order') === 'lowest' },
      product: { productExternalId: text('from') },
      category: { category: text('from') },
    }
    const cap = Number(text('cap'))
    const { audienceCreate } = await run(AudienceCreateDocument, {
      input: {
        name: text('name'),
        ascending: false,
        minimumSize: 10,
        dryRun,
        ...sources[kind],
        ...(text('limit') ? { limit: Number(text('limit')) } : {}),
        ...(cap > 0 ? { frequencyCap: { impressions: cap, hours: 24 } } : {}),
      },
    })
    const [error] = audienceCreate.userErrors
    setPreview(audienceCreate.preview ?? undefined)
    setSaid(error?.message ?? '')
    if (audienceCreate.audience) go(`/audiences/${audienceCreate.audience.id}`)
  }
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    create(event.currentTarget, isPreview(event)).catch(error => setSaid(error.message))
  }
  return (
    <form onSubmit={submit}>
      <div className="row">
        <label>
          {words.source}
          <select value={kind} onChange={event => setKind(event.target.value as Kind)}>
            {KINDS.map(each => (
              <option key={each} value={each}>
                {words[`from_${each}`]}
              </option>
            ))}
          </select>
        </label>
        <From kind={kind} choices={choices.data} />
        {kind === 'lookalike' && (
          <label className="small">
            {words.sharePercent}
            <input name="share" type="number" min="0.1" max="100" step="0.1" defaultValue="5" />
          </label>
        )}
        {kind === 'prediction' && (
          <label>
            {words.order}
            <select name="order">
              <option value="highest">{words.highest}</option>
              <option value="lowest">{words.lowest}</option>
            </select>
          </label>
        )}
        {kind !== 'segment' && (
          <label className="small">
            {words.atMost}
            <input name="limit" type="number" min="1" />
          </label>
        )}
        <label className="small">
          {words.capADay}
          <input name="cap" type="number" min="1" />
        </label>
        <label>
          {words.name}
          <input name="name" required maxLength={200} />
        </label>
        <button type="submit" className="plain" value="preview">
          {words.preview}
        </button>
        <button type="submit" value="create">
          {words.save}
        </button>
      </div>
      <Fault said={said} />
      {preview && (
        <p role="status">
          {preview.size === null ? words.sizeLater : `${preview.size.toLocaleString()} ${words.wouldBelong}`}
          {preview.excluded.length > 0 &&
            ` · ${words.leftOutOfAll}: ${preview.excluded.map(({ reason, count }) => `${causeOf(words, reason)}: ${count.toLocaleString()}`).join(', ')}`}
        </p>
      )}
    </form>
  )
}

interface Choices {
  segments: { nodes: readonly { id: string; name: string }[] }
  audiences: { nodes: readonly { id: string; name: string }[] }
}

function From({ kind, choices }: { kind: Kind; choices?: Choices }) {
  const words = useWords()
  if (kind === 'product' || kind === 'category')
    return (
      <label>
        {kind === 'product' ? words.externalId : words.categoryName}
        <input key={kind} name="from" required />
      </label>
    )
  const options =
    kind === 'prediction'
      ? PREDICTIONS.map(id => ({ id, name: words[`prediction_${id}`] }))
      : ((kind === 'segment' ? choices?.segments.nodes : choices?.audiences.nodes) ?? [])
  if (choices && options.length === 0) return <span className="quiet">{kind === 'segment' ? words.noSegments : words.noAudiences}</span>
  return (
    <label>
      {kind === 'prediction' ? words.MODEL_SCORE : kind === 'segment' ? words.SEGMENT : words.audiences}
      <select key={kind} name="from" required>
        {options.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}

export function Audience({ id }: { id: string }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const loaded = useLoaded(signal => run(AudienceDocument, { id }, signal), [id])
  const audience = loaded.data?.audience
  const isBuilding = audience?.status === 'BUILDING'
  const { reload } = loaded
  useEffect(() => {
    if (!isBuilding) return
    const timer = setInterval(reload, POLL_MS)
    return () => clearInterval(timer)
  }, [isBuilding, reload])
  if (!loaded.data) return <Waiting of={loaded} />
  if (!audience) return <p className="quiet">{words.nothing}</p>
  const input = { audienceId: id, expectedVersion: audience.version }
  const rebuild = async () => {
    const { audienceRebuild } = await run(AudienceRebuildDocument, { input })
    setSaid(audienceRebuild.userErrors[0]?.message ?? '')
    reload()
  }
  const archive = async () => {
    const { audienceArchive } = await run(AudienceArchiveDocument, { input })
    if (audienceArchive.userErrors.length > 0) setSaid(audienceArchive.userErrors[0].message)
    else go('/audiences')
  }
  return (
    <>
      <p>
        <a href="#/audiences">← {words.back}</a>
      </p>
      <Panel title={audience.name} actions={<Badge state={audience.status} />}>
        <p>
          {words[audience.source]} · {words.size}: {audience.size.toLocaleString()} · {words.built}: {timeOf(audience.builtAt)}
        </p>
        {audience.failure && <p className="fault">{audience.failure}</p>}
        {said && <p role="status">{said}</p>}
        <div className="row">
          <button type="button" className="plain" onClick={() => rebuild().catch(error => setSaid(error.message))}>
            {words.rebuild}
          </button>
          <AskedTwice
            label={words.archive}
            question={words.archiveAudienceQuestion}
            onYes={() => archive().catch(error => setSaid(error.message))}
          />
        </div>
      </Panel>
      <div className="columns">
        <Panel title={words.exclusions}>
          <Table
            rows={audience.excluded}
            keyOf={row => row.reason}
            columns={[
              { title: words.reason, cell: row => causeOf(words, row.reason) },
              { title: words.users, cell: row => row.count.toLocaleString(), isNumber: true },
            ]}
          />
        </Panel>
        <Panel title={words.members}>
          <Members rows={audience.members.nodes} />
        </Panel>
      </div>
      {audience.similarityCurve.length > 0 && (
        <Panel title={words.similarityCurve}>
          <Curve points={audience.similarityCurve} />
          <p className="quiet">
            {words.curveHint}
            {audience.auc !== null && ` AUC ${audience.auc.toFixed(3)}.`}
          </p>
        </Panel>
      )}
      {audience.builtAt && (
        <Panel title={words.export}>
          <Export audienceId={id} />
        </Panel>
      )}
    </>
  )
}

/** Why somebody was left out, in words. */
function causeOf(words: Words, reason: string): string {
  return words[`left_${reason}` as keyof Words] ?? reason
}

function Curve({ points }: { points: readonly { share: number; seedShare: number; similarity: number }[] }) {
  const words = useWords()
  const [width, height, left, bottom] = [460, 180, 44, 24]
  const x = (share: number) => left + share * (width - left - 8)
  const y = (value: number) => height - bottom - value * (height - bottom - 10)
  const line = (value: (point: (typeof points)[number]) => number) => points.map(point => `${x(point.share)},${y(value(point))}`).join(' ')
  return (
    <svg className="chart" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={words.similarityCurve}>
      {[0, 0.5, 1].map(share => (
        <g key={share}>
          <line x1={left} x2={width - 8} y1={y(share)} y2={y(share)} stroke="currentColor" strokeOpacity="0.15" />
          <text x={left - 6} y={y(share) + 4} textAnchor="end" fontSize="11" fill="currentColor">
            {share * 100} %
          </text>
          <text x={x(share)} y={height - 6} textAnchor={share === 1 ? 'end' : 'middle'} fontSize="11" fill="currentColor">
            {share * 100} %
          </text>
        </g>
      ))}
      <polyline
        points={`${x(0)},${y(0)} ${line(point => point.seedShare)}`}
        fill="none"
        stroke="var(--accent, currentColor)"
        strokeWidth="2"
      />
      <polyline
        points={line(point => point.similarity)}
        fill="none"
        stroke="currentColor"
        strokeOpacity="0.55"
        strokeWidth="2"
        strokeDasharray="5 4"
      />
    </svg>
  )
}

interface Job {
  state: string
  progress: number
  message: string | null
  error: string | null
  result: unknown
}

function Export({ audienceId }: { audienceId: string }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const [preview, setPreview] = useState<Record<string, number>>()
  const [jobId, setJobId] = useState('')
  const [job, setJob] = useState<Job>()
  const isOver = job?.state === 'COMPLETED' || job?.state === 'FAILED' || job?.state === 'CANCELLED'
  useEffect(() => {
    if (!jobId || isOver) return
    const look = () =>
      run(ExportJobDocument, { id: jobId }).then(
        answer => setJob(answer.job ?? undefined),
        error => setSaid(error.message),
      )
    void look()
    const timer = setInterval(look, POLL_MS)
    return () => clearInterval(timer)
  }, [jobId, isOver])
  const start = async (form: HTMLFormElement, dryRun: boolean) => {
    const data = new FormData(form)
    const webhookUrl = String(data.get('webhook') ?? '').trim()
    const { audienceExport } = await run(AudienceExportDocument, {
      input: {
        audienceId,
        format: data.get('format') as (typeof FORMATS)[number],
        purpose: data.get('purpose') as (typeof PURPOSES)[number],
        dryRun,
        ...(webhookUrl ? { webhookUrl } : {}),
      },
    })
    setSaid(audienceExport.userErrors[0]?.message ?? '')
    setPreview((audienceExport.preview as Record<string, number> | null) ?? undefined)
    setJob(undefined)
    setJobId(audienceExport.job?.id ?? '')
  }
  const file = (job?.result as { path?: string } | null)?.path
  const save = async () => {
    const response = await fetch(file as string, { headers: { authorization: `Bearer ${storedKey()}` } })
    if (!response.ok) return setSaid(await response.text())
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await response.blob())
    link.download = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'audience.csv'
    link.click()
    URL.revokeObjectURL(link.href)
  }
  return (
    <form
      onSubmit={event => {
        event.preventDefault()
        start(event.currentTarget, isPreview(event)).catch(error => setSaid(error.message))
      }}
    >
      <div className="row">
        <label>
          {words.format}
          <select name="format">
            {FORMATS.map(format => (
              <option key={format} value={format}>
                {words[`format_${format}`]}
              </option>
            ))}
          </select>
        </label>
        <label>
          {words.consent}
          <select name="purpose">
            {PURPOSES.map(purpose => (
              <option key={purpose}>{purpose}</option>
            ))}
          </select>
        </label>
        <label>
          {words.webhookOrFile}
          <input name="webhook" type="url" placeholder="https://" />
        </label>
        <button type="submit" className="plain" value="preview">
          {words.dryRun}
        </button>
        <button type="submit" value="export">
          {words.export}
        </button>
      </div>
      <Fault said={said} />
      {preview && (
        <p role="status">
          {(['rows', 'withoutEmail', 'withoutPhone', 'withoutIdentifier', 'withoutConsent', 'suppressed'] as const)
            .map(name => `${words[`count_${name}`]}: ${(preview[name] ?? 0).toLocaleString()}`)
            .join(' · ')}
        </p>
      )}
      {job && (
        <p role="status">
          <Badge state={job.state} /> {job.error ?? job.message ?? `${Math.round(job.progress * 100)} %`}{' '}
          {file && (
            <button type="button" className="plain" onClick={() => save().catch(error => setSaid(error.message))}>
              {words.download}
            </button>
          )}
        </p>
      )}
    </form>
  )
}
