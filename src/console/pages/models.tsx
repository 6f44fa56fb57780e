import { useState } from 'react'
import Markdown from 'react-markdown'
import remarkGfm from 'remark-gfm'
import { run } from '../api.js'
import {
  ModelApproveDocument,
  ModelDocument,
  ModelRejectDocument,
  type ModelReviewInput,
  ModelRollbackDocument,
  ModelsDocument,
  ModelTrainDocument,
} from '../generated/documents.js'
import { Badge, go, numberOf, PagedTable, Panel, Table, timeOf, useLoaded, usePages, useTerm, useWords, Waiting } from '../parts.js'

type Metrics = Record<string, number>

export function Models() {
  const words = useWords()
  const term = useTerm()
  const [said, setSaid] = useState('')
  const models = usePages(async (after, signal) => (await run(ModelsDocument, { first: 20, after }, signal)).models, [])
  const train = async () => {
    const { modelTrain } = await run(ModelTrainDocument, { task: 'RECOMMENDATION' })
    setSaid(modelTrain.userErrors[0]?.message ?? words.trainStarted)
  }
  return (
    <Panel
      title={words.models}
      actions={
        <button type="button" onClick={() => train().catch(error => setSaid(error.message))}>
          {words.train}
        </button>
      }
    >
      {said && <p role="status">{said}</p>}
      <PagedTable
        of={models}
        keyOf={row => row.id}
        onRow={row => go(`/models/${row.id}`)}
        columns={[
          { title: words.task, cell: row => term(row.task) },
          { title: words.algorithm, cell: row => <a href={`#/models/${row.id}`}>{`${row.algorithm} v${row.version}`}</a> },
          { title: words.status, cell: row => <Badge state={row.status} /> },
          { title: words.metricOfTask, cell: row => row.primaryMetric ?? '' },
          { title: words.thisModel, cell: row => numberOf((row.metrics as Metrics)[row.primaryMetric ?? '']), isNumber: true },
          { title: words.baseline, cell: row => numberOf((row.baselineMetrics as Metrics)[row.primaryMetric ?? '']), isNumber: true },
          { title: words.rows, cell: row => row.trainedRows.toLocaleString(), isNumber: true },
          { title: words.trained, cell: row => timeOf(row.trainedAt) },
          { title: words.reviewedBy, cell: row => row.reviewedBy ?? '' },
        ]}
      />
    </Panel>
  )
}

type Review = ModelReviewInput
const ACTIONS = {
  approve: async (input: Review) => (await run(ModelApproveDocument, { input })).modelApprove,
  reject: async (input: Review) => (await run(ModelRejectDocument, { input })).modelReject,
  rollBack: async (input: Review) => (await run(ModelRollbackDocument, { input })).modelRollback,
}
type Action = keyof typeof ACTIONS

/** Which moves a person may make from each status. */
const MOVES: Record<string, readonly Action[]> = {
  CANDIDATE: ['approve', 'reject'],
  APPROVED: ['approve', 'reject'],
  BLOCKED: ['reject'],
  LIVE: ['rollBack'],
  RETIRED: ['rollBack'],
  REJECTED: [],
}

export function Model({ id }: { id: string }) {
  const words = useWords()
  const term = useTerm()
  const [note, setNote] = useState('')
  const [said, setSaid] = useState('')
  const loaded = useLoaded(signal => run(ModelDocument, { id }, signal), [id])
  const model = loaded.data?.node && 'algorithm' in loaded.data.node ? loaded.data.node : undefined
  const act = async (action: Action) => {
    const answer = await ACTIONS[action]({ modelId: id, note: note || null })
    setSaid(answer.userErrors[0]?.message ?? answer.model?.status ?? '')
    loaded.reload()
  }
  if (!model) return <Waiting of={loaded} />
  const [metrics, baseline, live] = [model.metrics, model.baselineMetrics, model.liveMetrics].map(each => (each ?? {}) as Metrics)
  return (
    <>
      <p>
        <a href="#/models">← {words.back}</a>
      </p>
      <Panel title={`${term(model.task)}: ${model.algorithm} v${model.version}`} actions={<Badge state={model.status} />}>
        {model.reviewedBy && (
          <p className="quiet">
            {words.reviewedBy} {model.reviewedBy}, {timeOf(model.reviewedAt)}
            {model.reviewNote ? `: ${model.reviewNote}` : ''}
          </p>
        )}
        {MOVES[model.status].length > 0 && (
          <form className="row" onSubmit={event => event.preventDefault()}>
            <label className="wide">
              {words.note}
              <input value={note} onChange={event => setNote(event.target.value)} placeholder={words.noteHint} maxLength={2000} />
            </label>
            {MOVES[model.status].map(action => (
              <button
                key={action}
                type="button"
                className={action === 'approve' ? '' : 'plain'}
                onClick={() => act(action).catch(error => setSaid(error.message))}
              >
                {words[action]}
              </button>
            ))}
          </form>
        )}
        {said && <p role="status">{said}</p>}
      </Panel>
      <div className="columns">
        <Panel title={words.metric}>
          <Table
            rows={Object.keys(metrics)}
            keyOf={name => name}
            columns={[
              { title: words.metric, cell: name => name },
              { title: words.thisModel, cell: name => numberOf(metrics[name]), isNumber: true },
              { title: words.baseline, cell: name => numberOf(baseline[name]), isNumber: true },
              { title: words.liveModel, cell: name => numberOf(live[name]), isNumber: true },
            ]}
          />
        </Panel>
        <Panel title={words.guardrails}>
          <ul className="checks">
            {model.guardrails.map(check => (
              <li key={check.name} className={check.passed ? 'ok' : 'failed'}>
                <strong>{check.name}</strong>
                <span>{check.finding}</span>
              </li>
            ))}
          </ul>
        </Panel>
      </div>
      <Panel title={words.card}>
        <Card text={model.card} />
      </Panel>
    </>
  )
}

/** Markdown without HTML: what a card of a model from outside says stays text, and its links and pictures lead nowhere. Headings go below those of the page. */
function Card({ text }: { text: string }) {
  return (
    <div className="card">
      <Markdown
        remarkPlugins={[remarkGfm]}
        disallowedElements={['a', 'img']}
        unwrapDisallowed
        components={{
          h1: 'h3',
          h2: 'h4',
          h3: 'h5',
          table: ({ children }) => (
            <div className="scroll">
              <table>{children}</table>
            </div>
          ),
        }}
      >
        {text}
      </Markdown>
    </div>
  )
}
