import { useEffect, useState } from 'react'
import { follow, run } from '../api.js'
import { JobCancelDocument, type JobState, JobsDocument, JobUpdatedDocument } from '../generated/documents.js'
import { Badge, More, Panel, Table, timeOf, usePages, useWords, Waiting } from '../parts.js'

const STATES: JobState[] = ['WAITING', 'ACTIVE', 'COMPLETED', 'FAILED', 'DELAYED', 'CANCELLED']
const ENDED = new Set<JobState>(['COMPLETED', 'FAILED', 'CANCELLED'])

export function Jobs() {
  const words = useWords()
  const [state, setState] = useState<JobState | null>(null)
  const jobs = usePages(async (after, signal) => (await run(JobsDocument, { first: 20, after, state }, signal)).jobs, [state])
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
      <Waiting of={jobs} />
      {jobs.data && (
        <Table
          rows={jobs.rows}
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
            { title: words.progress, cell: row => <Progress job={row} onEnd={jobs.reload} /> },
            { title: words.attempts, cell: row => row.attempts, isNumber: true },
            { title: words.started, cell: row => timeOf(row.createdAt) },
            {
              title: '',
              cell: row =>
                !ENDED.has(row.state) && (
                  <button type="button" className="plain" onClick={() => run(JobCancelDocument, { id: row.id }).then(jobs.reload)}>
                    {words.cancel}
                  </button>
                ),
            },
          ]}
        />
      )}
      <More of={jobs} />
    </Panel>
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
