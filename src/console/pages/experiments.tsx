import { type FormEvent, useEffect, useState } from 'react'
import { run } from '../api.js'
import { Choice, NumberField, Rows, TextField } from '../fields.js'
import {
  ExperimentChoicesDocument,
  ExperimentCreateDocument,
  ExperimentDocument,
  type ExperimentPartsFragment,
  ExperimentResultDocument,
  type ExperimentResultQuery,
  ExperimentStartDocument,
  ExperimentStopDocument,
  ExperimentsDocument,
  ExperimentUpdateDocument,
  OffPolicyDocument,
  type OffPolicyQuery,
} from '../generated/documents.js'
import { Badge, Fault, go, numberOf, PagedTable, Panel, percent, Table, timeOf, useLoaded, usePages, useWords, Waiting } from '../parts.js'
import { ALGORITHMS } from './recommendations.js'

type Arm = ExperimentPartsFragment['arms'][number]
type Result = NonNullable<ExperimentResultQuery['recommendationExperiment']>['result']
type Metric = Result['metrics'][number]
type Estimate = OffPolicyQuery['recommendationOffPolicyEstimate']
interface Range {
  low: number
  high: number
}

const REWARDS = ['CLICK', 'PURCHASE'] as const
const DAYS = 30
const PLANNED = 10_000
const NEW_ARMS: readonly Arm[] = [
  { key: 'control', share: 0.5, algorithm: 'AUTO', diversity: null, exploration: 0 },
  { key: 'challenger', share: 0.5, algorithm: 'AUTO', diversity: 0.3, exploration: 0 },
]

export function Experiments() {
  const words = useWords()
  const pages = usePages(
    async (after, signal) => (await run(ExperimentsDocument, { first: 25, after }, signal)).recommendationExperiments,
    [],
  )
  return (
    <>
      <Panel title={words.experiments}>
        <PagedTable
          of={pages}
          keyOf={row => row.id}
          onRow={row => go(`/experiments/${row.id}`)}
          columns={[
            { title: words.name, cell: row => <a href={`#/experiments/${row.id}`}>{row.name}</a> },
            { title: words.status, cell: row => <Badge state={row.status} /> },
            { title: words.placement, cell: row => row.placement ?? words.wherever },
            { title: words.arms, cell: row => row.arms.map(({ key }) => key).join(' · ') },
            { title: words.plannedUsers, cell: row => row.plannedUsers.toLocaleString(), isNumber: true },
            { title: words.started, cell: row => timeOf(row.startedAt) },
          ]}
        />
      </Panel>
      <Panel title={words.newExperiment}>
        <Editor onSaved={id => go(`/experiments/${id}`)} />
      </Panel>
      <OffPolicy />
    </>
  )
}

/** A new experiment, or a draft that may still be changed. */
function Editor({
  draft,
  onSaved,
  onChanged,
}: {
  draft?: ExperimentPartsFragment
  onSaved(id: string): void
  /** Whether the fields say something else than what is stored */
  onChanged?(isChanged: boolean): void
}) {
  const words = useWords()
  const choices = useLoaded(signal => run(ExperimentChoicesDocument, {}, signal), [])
  const [name, setName] = useState(draft?.name ?? '')
  const [placement, setPlacement] = useState(draft?.placement ?? '')
  const [plannedUsers, setPlannedUsers] = useState(draft?.plannedUsers ?? PLANNED)
  const [arms, setArms] = useState<readonly Arm[]>(draft?.arms ?? NEW_ARMS)
  const [said, setSaid] = useState('')
  const sum = arms.reduce((total, { share }) => total + share, 0)
  const placements = choices.data?.placements.nodes.filter(({ archivedAt }) => !archivedAt).map(each => each.name) ?? []
  const facts = { name, placement: placement || null, plannedUsers, arms: [...arms] }
  const isChanged = JSON.stringify(facts) !== JSON.stringify(draft && factsOf(draft))
  useEffect(() => onChanged?.(isChanged), [onChanged, isChanged])
  const save = async () => {
    const { experiment, userErrors } = draft
      ? (
          await run(ExperimentUpdateDocument, {
            input: { ...facts, experimentId: draft.id, expectedVersion: draft.version, dryRun: false },
          })
        ).recommendationExperimentUpdate
      : (await run(ExperimentCreateDocument, { input: { ...facts, dryRun: false } })).recommendationExperimentCreate
    setSaid(userErrors[0]?.message ?? '')
    if (experiment && userErrors.length === 0) onSaved(experiment.id)
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void save().catch(error => setSaid(error.message))
  }
  return (
    <form className="editor" onSubmit={submit}>
      <div className="row">
        <label>
          {words.name}
          <input name="name" required maxLength={200} value={name} onChange={event => setName(event.target.value)} />
        </label>
        <label>
          {words.placement}
          <select value={placement} onChange={event => setPlacement(event.target.value)}>
            <option value="">{words.wherever}</option>
            {[...new Set([...placements, ...(placement ? [placement] : [])])].map(each => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <NumberField label={words.plannedUsers} value={plannedUsers} min={1} onChange={setPlannedUsers} />
      </div>
      <Rows
        title={words.arms}
        rows={arms}
        fresh={{ key: `arm-${arms.length + 1}`, share: 0, algorithm: 'AUTO' as const, diversity: null, exploration: 0 }}
        onChange={setArms}
        cells={(row, change) => (
          <>
            <TextField label={words.arm} value={row.key} onChange={key => change({ key })} />
            <NumberField
              label={words.armShare}
              value={Number((row.share * 100).toFixed(4))}
              max={100}
              step="any"
              onChange={share => change({ share: share / 100 })}
            />
            <Choice label={words.algorithm} of={ALGORITHMS} value={row.algorithm} onChange={algorithm => change({ algorithm })} />
            <label>
              {words.diversityOrNone}
              <input
                type="number"
                min={0}
                max={1}
                step="any"
                value={row.diversity ?? ''}
                onChange={event => change({ diversity: event.target.value === '' ? null : Number(event.target.value) })}
              />
            </label>
            <NumberField
              label={words.exploration}
              value={row.exploration}
              max={1}
              step={0.05}
              onChange={exploration => change({ exploration })}
            />
          </>
        )}
      />
      <p className="quiet">
        {words.control}
        {Math.abs(sum - 1) > 1e-6 && <strong className="fault">{` ${words.sumOfShares} ${percent(sum)}`}</strong>}
      </p>
      <div className="row">
        <button type="submit">{words.saveDraft}</button>
      </div>
      <Fault said={said} />
    </form>
  )
}

function factsOf({ name, placement, plannedUsers, arms }: ExperimentPartsFragment) {
  return { name, placement, plannedUsers, arms }
}

export function Experiment({ id }: { id: string }) {
  const words = useWords()
  const loaded = useLoaded(signal => run(ExperimentDocument, { id }, signal), [id])
  const [isUnsaved, setUnsaved] = useState(false)
  if (!loaded.data) return <Waiting of={loaded} />
  const experiment = loaded.data.recommendationExperiment
  if (!experiment) return <p className="quiet">{words.nothing}</p>
  return (
    <>
      <p>
        <a href="#/experiments">← {words.back}</a>
      </p>
      <Panel title={experiment.name} actions={<Badge state={experiment.status} />}>
        <p className="quiet">
          {[
            `${words.placement}: ${experiment.placement ?? words.wherever}`,
            `${words.plannedUsers}: ${experiment.plannedUsers.toLocaleString()}`,
            ...(experiment.startedAt ? [`${words.started}: ${timeOf(experiment.startedAt)}`] : []),
            ...(experiment.stoppedAt ? [`${words.stop}: ${timeOf(experiment.stoppedAt)}`] : []),
          ].join(' · ')}
        </p>
        {experiment.stopNote && <p>{experiment.stopNote}</p>}
        {experiment.status === 'DRAFT' ? (
          <Editor key={experiment.version} draft={experiment} onSaved={loaded.reload} onChanged={setUnsaved} />
        ) : (
          <Table
            rows={experiment.arms}
            keyOf={row => row.key}
            columns={[
              { title: words.arm, cell: row => <ArmName name={row.key} isControl={row === experiment.arms[0]} /> },
              { title: words.armShare, cell: row => percent(row.share), isNumber: true },
              { title: words.algorithm, cell: row => row.algorithm },
              { title: words.diversity, cell: row => row.diversity ?? words.asAsked, isNumber: true },
              { title: words.exploration, cell: row => row.exploration, isNumber: true },
            ]}
          />
        )}
        {experiment.status === 'DRAFT' && isUnsaved ? (
          <p className="quiet">{words.saveFirst}</p>
        ) : (
          <NextStep key={experiment.status} experiment={experiment} onDone={loaded.reload} />
        )}
      </Panel>
      {experiment.startedAt && <Results id={id} />}
    </>
  )
}

/** To start or to stop is asked twice: neither can be taken back. */
function NextStep({ experiment, onDone }: { experiment: ExperimentPartsFragment; onDone(): void }) {
  const words = useWords()
  const [isAsked, setAsked] = useState(false)
  const [note, setNote] = useState('')
  const [said, setSaid] = useState('')
  if (experiment.status === 'STOPPED') return null
  const step = experiment.status === 'DRAFT' ? 'start' : 'stop'
  const act = async () => {
    const input = { experimentId: experiment.id, expectedVersion: experiment.version, dryRun: false }
    const { userErrors } =
      step === 'start'
        ? (await run(ExperimentStartDocument, { input })).recommendationExperimentStart
        : (await run(ExperimentStopDocument, { input: { ...input, note: note.trim() || null } })).recommendationExperimentStop
    setAsked(false)
    setSaid(userErrors[0]?.message ?? '')
    if (userErrors.length === 0) onDone()
  }
  return (
    <>
      {isAsked ? (
        <form
          className="next-step"
          onSubmit={event => {
            event.preventDefault()
            act().catch(error => setSaid(error.message))
          }}
        >
          <p>{words[`${step}Question`]}</p>
          <div className="row">
            {step === 'stop' && (
              <label>
                {words.noteOfStop}
                <input value={note} maxLength={1_000} onChange={event => setNote(event.target.value)} />
              </label>
            )}
            <button type="submit">{words[`${step}Now`]}</button>
            <button type="button" className="plain" onClick={() => setAsked(false)}>
              {words.cancel}
            </button>
          </div>
        </form>
      ) : (
        <div className="row next-step">
          <button type="button" onClick={() => setAsked(true)}>
            {words[step]}
          </button>
        </div>
      )}
      <Fault said={said} />
    </>
  )
}

function ArmName({ name, isControl }: { name: string; isControl: boolean }) {
  const words = useWords()
  return (
    <>
      {name} {isControl && name !== words.isControl && <small>({words.isControl})</small>}
    </>
  )
}

function Results({ id }: { id: string }) {
  const words = useWords()
  const loaded = useLoaded(async signal => (await run(ExperimentResultDocument, { id }, signal)).recommendationExperiment?.result, [id])
  const result = loaded.data
  if (!result)
    return (
      <Panel title={words.result}>
        <Waiting of={loaded} />
      </Panel>
    )
  const { sampleRatio } = result
  return (
    <>
      <Panel title={words.result} actions={<small>{timeOf(result.until)}</small>}>
        <p role="status">
          <strong>{result.advice}</strong>
        </p>
        {result.users > 0 && (
          <ul className="checks">
            <li className={sampleRatio.isMismatch ? 'failed' : 'ok'}>
              <strong>{sampleRatio.isMismatch ? words.sampleRatioBad : words.sampleRatioGood}</strong>
              <span>
                χ² = {sampleRatio.chiSquare.toFixed(2)}, df = {sampleRatio.degrees}, p = {pOf(sampleRatio.p)}
              </span>
            </li>
          </ul>
        )}
        <Table
          rows={result.arms}
          keyOf={row => row.key}
          columns={[
            { title: words.arm, cell: row => <ArmName name={row.key} isControl={row === result.arms[0]} /> },
            { title: words.usersSeen, cell: row => row.users.toLocaleString(), isNumber: true },
            { title: words.expectedUsers, cell: row => Math.round(row.share * result.users).toLocaleString(), isNumber: true },
          ]}
        />
      </Panel>
      {result.metrics.map(metric => (
        <Panel key={metric.metric} title={words[`metric_${metric.metric}`]}>
          <MetricArms of={metric} />
        </Panel>
      ))}
      <p className="quiet">
        {result.isPlanReached ? words.readFixed : words.readAnytime} {words.drawnHint}
      </p>
    </>
  )
}

function MetricArms({ of: { metric, arms } }: { of: Metric }) {
  const words = useWords()
  const show = metric === 'REVENUE_PER_VISITOR' ? (value: number) => value.toFixed(2) : (value: number) => `${(100 * value).toFixed(2)} %`
  const range = ({ low, high }: Range) => `${show(low)} … ${show(high)}`
  const reach = Math.max(
    ...arms.flatMap(({ comparison }) =>
      comparison ? [comparison.interval, comparison.anytime].flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]) : [],
    ),
    0,
  )
  return (
    <Table
      rows={arms}
      keyOf={row => row.key}
      columns={[
        { title: words.arm, cell: row => <ArmName name={row.key} isControl={row === arms[0]} /> },
        {
          title: words.estimated,
          cell: ({ estimate }) => (estimate ? <Value of={show(estimate.value)} within={range(estimate)} /> : '–'),
        },
        {
          title: words.lift,
          cell: ({ comparison }) =>
            comparison?.lift && (
              <Value of={percent(comparison.lift.value)} within={`${percent(comparison.lift.low)} … ${percent(comparison.lift.high)}`} />
            ),
        },
        {
          title: words.difference,
          cell: ({ comparison }) => comparison && <Value of={show(comparison.difference)} within={`p = ${pOf(comparison.p)}`} />,
        },
        { title: words.intervalFixed, cell: ({ comparison }) => comparison && range(comparison.interval) },
        { title: words.intervalAnytime, cell: ({ comparison }) => comparison && range(comparison.anytime) },
        { title: words.drawn, cell: ({ comparison }) => comparison && <Drawn {...comparison} reach={reach} /> },
      ]}
    />
  )
}

function Value({ of, within }: { of: string; within: string }) {
  return (
    <span className="date">
      <strong>{of}</strong>
      <br />
      <small>{within}</small>
    </span>
  )
}

/** Both intervals of a difference about the line where there is none; all arms of a metric have one scale. */
function Drawn({ interval, anytime, difference, reach }: { interval: Range; anytime: Range; difference: number; reach: number }) {
  const words = useWords()
  const [width, middle] = [140, 70]
  const x = (value: number) => middle + (reach === 0 ? 0 : (value / reach) * (middle - 4))
  return (
    <svg className="intervals" viewBox={`0 0 ${width} 20`} width={width} height={20} role="img" aria-label={words.drawnHint}>
      <line x1={middle} x2={middle} y1={0} y2={20} className="zero" />
      <line x1={x(anytime.low)} x2={x(anytime.high)} y1={10} y2={10} strokeWidth={1.5} />
      <line x1={x(interval.low)} x2={x(interval.high)} y1={10} y2={10} strokeWidth={6} />
      <circle cx={x(difference)} cy={10} r={3.5} />
    </svg>
  )
}

function pOf(p: number): string {
  return p < 0.0001 ? '< 0.0001' : p.toFixed(4)
}

function OffPolicy() {
  const words = useWords()
  const choices = useLoaded(signal => run(ExperimentChoicesDocument, {}, signal), [])
  const [said, setSaid] = useState('')
  const [estimate, setEstimate] = useState<Estimate>()
  const ask = async (form: HTMLFormElement) => {
    const data = new FormData(form)
    setSaid('')
    setEstimate(undefined)
    const answer = await run(OffPolicyDocument, {
      modelId: String(data.get('model')),
      placement: String(data.get('placement')) || null,
      days: Number(data.get('days')),
      exploration: Number(data.get('exploration')),
      reward: data.get('reward') as (typeof REWARDS)[number],
    })
    setEstimate(answer.recommendationOffPolicyEstimate)
  }
  // Those that wait for a person come first: it is for them that one asks.
  const models = [...(choices.data?.models.nodes ?? [])].sort((a, b) => rankOf(a.status) - rankOf(b.status))
  return (
    <Panel title={words.offPolicy}>
      <p className="quiet">{words.offPolicyHint}</p>
      <Waiting of={choices} />
      {choices.data && models.length === 0 && <p className="quiet">{words.noModels}</p>}
      {models.length > 0 && (
        <form
          className="row"
          onSubmit={event => {
            event.preventDefault()
            ask(event.currentTarget).catch(error => setSaid(error.message))
          }}
        >
          <label>
            {words.model}
            <select name="model">
              {models.map(({ id, algorithm, version, status }) => (
                <option key={id} value={id}>{`${algorithm} v${version} (${status})`}</option>
              ))}
            </select>
          </label>
          <label>
            {words.placement}
            <select name="placement">
              <option value="">{words.allPlacements}</option>
              {choices.data?.placements.nodes.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label>
            {words.reward}
            <select name="reward">
              {REWARDS.map(reward => (
                <option key={reward} value={reward}>
                  {words[`reward_${reward}`]}
                </option>
              ))}
            </select>
          </label>
          <label className="small">
            {words.lastDays}
            <input name="days" type="number" min={1} max={365} required defaultValue={DAYS} />
          </label>
          <label className="small">
            {words.exploration}
            <input name="exploration" type="number" min={0} max={1} step="any" required defaultValue={0.2} />
          </label>
          <button type="submit">{words.estimateIt}</button>
        </form>
      )}
      <Fault said={said} />
      {estimate && <Earned estimate={estimate} />}
    </Panel>
  )
}

function Earned({ estimate }: { estimate: Estimate }) {
  const words = useWords()
  return (
    <div role="status">
      <p>
        <strong>{estimate.policy}</strong>
      </p>
      <dl>
        <dt>{words.wouldEarn}</dt>
        <dd>{earned(estimate, words.unknownValue)}</dd>
        <dt>{words.didEarn}</dt>
        <dd>{numberOf(estimate.logged)}</dd>
        <dt>{words.decisionsUsed}</dt>
        <dd>{estimate.decisions.toLocaleString()}</dd>
        <dt>{words.effectiveSize}</dt>
        <dd>{estimate.effectiveSize.toFixed(1)}</dd>
        <dt>{words.meanWeight}</dt>
        <dd>{estimate.meanWeight.toFixed(3)}</dd>
        <dt>{words.listWouldEarn}</dt>
        <dd>{earned(estimate.list, words.unknownValue)}</dd>
        <dt>{words.listDidEarn}</dt>
        <dd>{numberOf(estimate.list.logged)}</dd>
      </dl>
      {estimate.list.places.length > 1 && (
        <Table
          rows={estimate.list.places}
          keyOf={({ place }) => String(place)}
          columns={[
            { title: words.atPlace, cell: ({ place }) => place, isNumber: true },
            { title: words.wouldEarn, cell: ({ value }) => (value === null ? words.unknownValue : numberOf(value)), isNumber: true },
            { title: words.didEarn, cell: ({ logged }) => numberOf(logged), isNumber: true },
            { title: words.effectiveSize, cell: ({ effectiveSize }) => effectiveSize.toFixed(1), isNumber: true },
            { title: words.meanWeight, cell: ({ meanWeight }) => meanWeight.toFixed(3), isNumber: true },
          ]}
        />
      )}
      <ul className="reasons">
        {estimate.caveats.map(caveat => (
          <li key={caveat}>{caveat}</li>
        ))}
      </ul>
    </div>
  )
}

function earned({ value, low, high }: { value: number | null; low: number | null; high: number | null }, unknown: string): string {
  const range = low !== null && high !== null ? ` (95 %: ${low.toFixed(4)} … ${high.toFixed(4)})` : ''
  return `${value === null ? unknown : numberOf(value)}${range}`
}

function rankOf(status: string): number {
  const rank = ['CANDIDATE', 'APPROVED', 'LIVE'].indexOf(status)
  return rank === -1 ? 3 : rank
}
