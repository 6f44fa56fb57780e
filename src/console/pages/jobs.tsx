import { useEffect, useState } from 'react'
import { follow, run } from '../api.js'
import { JobCancelDocument, JobRetryDocument, type JobState, JobsDocument, JobUpdatedDocument } from '../generated/documents.js'
import { Badge, Fault, More, PagedTable, Panel, timeOf, usePages, useWords, Waiting } from '../parts.js'

const STATES: JobState[] = ['WAITING', 'ACTIVE', 'COMPLETED', 'FAILED', 'DELAYED', 'CANCELLED']
const ENDED = new Set<JobState>(['COMPLETED', 'FAILED', 'CANCELLED'])
const MAY_BE_RETRIED = new Set<JobState>(['FAILED', 'CANCELLED'])
const PARTS_SHOWN = 100

export function Jobs() {
  const words = useWords()
  const [state, setState] = useState<JobState | null>(null)
  const [fault, setFault] = useState('')
  const jobs = usePages(async (after, signal) => (await run(JobsDocument, { first: 20, after, state }, signal)).jobs, [state])
  /** Asks for a change of a job, shows what the answer refuses, and the list as it is then. */
  const change = async (work: Promise<{ userErrors: readonly { message: string }[] }>) => {
    const message = await work.then(
      ({ userErrors }) => userErrors[0]?.message ?? '',
      error => (error as Error).message,
    )
    setFault(message)
    jobs.reload()
  }
  const cancel = (id: string) => change(run(JobCancelDocument, { id }).then(({ jobCancel }) => jobCancel))
  const retry = (id: string) => change(run(JobRetryDocument, { id }).then(({ jobRetry }) => jobRetry))
  return (
    <Panel
      title={words.jobs}
      actions={
        <select aria-label={words.state} value={state ?? ''} onChange={event => setState((event.target.value || null) as JobState | null)}>
          <option value="">{words.all}</option>
          {STATES.map(each => (
            <option key={each}>{each}</option>
          ))}
        </select>
      }
    >
      <Fault said={fault} />
      <PagedTable
        of={jobs}
        keyOf={row => row.id}
        columns={[
          {
            title: words.job,
            cell: row => (
              <>
                {row.name} <small>{row.trigger}</small>
              </>
            ),
          },
          {
            title: words.progress,
            cell: row => (
              <div>
                <Progress job={row} onEnd={jobs.reload} />
                {row.parts !== null && <Parts of={row.id} count={row.parts} />}
              </div>
            ),
          },
          { title: words.attempts, cell: row => row.attempts, isNumber: true },
          { title: words.started, cell: row => timeOf(row.createdAt) },
          {
            title: '',
            cell: row =>
              ENDED.has(row.state) ? (
                MAY_BE_RETRIED.has(row.state) && (
                  <button type="button" className="plain" onClick={() => retry(row.id)}>
                    {words.retry}
                  </button>
                )
              ) : (
                <button type="button" className="plain" onClick={() => cancel(row.id)}>
                  {words.cancel}
                </button>
              ),
          },
        ]}
      />
    </Panel>
  )
}

/** The parts a job cut itself into, looked up when they are opened. */
function Parts({ of, count }: { of: string; count: number }) {
  const words = useWords()
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>
        {count} {words.parts}
      </summary>
      {isOpen && <PartList of={of} />}
    </details>
  )
}

function PartList({ of }: { of: string }) {
  const parts = usePages(
    async (after, signal) => (await run(JobsDocument, { first: PARTS_SHOWN, after, state: null, parentId: of }, signal)).jobs,
    [of],
  )
  return (
    <>
      <Waiting of={parts} />
      <ol className="parts">
        {parts.rows.map(part => (
          <li key={part.id}>
            <Progress job={part} onEnd={parts.reload} />
          </li>
        ))}
      </ol>
      <More of={parts} />
    </>
  )
}

interface Live {
  id: string
  state: JobState
  progress: number
  message: string | null
  error: string | null
}

/** A running job is followed over the subscription until it ends. */
function Progress({ job, onEnd }: { job: Live; onEnd(): void }) {
  const [live, setLive] = useState<Live>(job)
  useEffect(() => {
    setLive(job)
    if (ENDED.has(job.state)) return
    return follow(JobUpdatedDocument, { id: job.id }, ({ jobUpdated }) => {
      setLive(jobUpdated)
      if (ENDED.has(jobUpdated.state)) onEnd()
    })
  }, [job, onEnd])
  return (
    <div className="progress">
      <Badge state={live.state} />
      {live.state === 'ACTIVE' && <progress value={live.progress} />}
      <span>{live.error ?? live.message ?? ''}</span>
    </div>
  )
}
