import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** What Prometheus may read: requests, jobs, models, stages, and the process. One registry an app, so that tests do not share one. */
export interface Metrics {
  readonly registry: Registry
  request(operation: string, code: string, seconds: number): void
  http(route: string, status: number, seconds: number): void
  job(name: string, outcome: string, seconds: number): void
  /** How many there are in the database, of any host; `job` counts those of this process. */
  jobs(kept: readonly { name: string; state: string; count: number; seconds: number }[]): void
  model(task: string, servedBy: string): void
  stage(stage: string, state: string): void
}

/** Operation names come from clients; more than this many different ones are counted as one. */
const MOST_OPERATIONS = 200
const STATES = ['ok', 'waiting', 'degraded', 'failed']

export function createMetrics(role: string, withProcess = true): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ role })
  if (withProcess) collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
  const requests = new Histogram({
    name: 'bellwether_graphql_request_seconds',
    help: 'GraphQL requests by operation and result',
    labelNames: ['operation', 'code'],
    buckets,
    registers,
  })
  const http = new Histogram({
    name: 'bellwether_http_request_seconds',
    help: 'HTTP requests beside GraphQL',
    labelNames: ['route', 'status'],
    buckets,
    registers,
  })
  const jobs = new Histogram({
    name: 'bellwether_job_seconds',
    help: 'Jobs by name and outcome',
    labelNames: ['name', 'outcome'],
    buckets: [0.01, 0.1, 1, 10, 60, 600],
    registers,
  })
  const keptJobs = new Gauge({
    name: 'bellwether_jobs',
    aggregator: 'first',
    help: 'Jobs that are kept, by name and state',
    labelNames: ['name', 'state'],
    registers,
  })
  const jobSeconds = new Gauge({
    name: 'bellwether_jobs_run_seconds',
    aggregator: 'first',
    help: 'How long the jobs that are kept ran, together',
    labelNames: ['name', 'state'],
    registers,
  })
  // By task and by what served: the counter, which writes down its labels for each, is told of them when it is read.
  const modelAnswers = new Map<string, Map<string, number>>()
  new Counter({
    name: 'bellwether_model_answers_total',
    help: 'Answers by task and by what served them',
    labelNames: ['task', 'served_by'],
    registers,
    collect() {
      for (const [task, answers] of modelAnswers) for (const [servedBy, count] of answers) this.inc({ task, served_by: servedBy }, count)
      modelAnswers.clear()
    },
  })
  const stages = new Gauge({
    name: 'bellwether_stage_state',
    aggregator: 'first',
    help: '1 for the state a stage of the pipeline is in',
    labelNames: ['stage', 'state'],
    registers,
  })
  const operations = new Set<string>()
  return {
    registry,
    request: (operation, code, seconds) => {
      if (operations.size < MOST_OPERATIONS) operations.add(operation)
      requests.observe({ operation: operations.has(operation) ? operation : 'other', code }, seconds)
    },
    http: (route, status, seconds) => http.observe({ route, status: String(status) }, seconds),
    job: (name, outcome, seconds) => jobs.observe({ name, outcome }, seconds),
    jobs: kept => {
      keptJobs.reset()
      jobSeconds.reset()
      for (const { name, state, count, seconds } of kept) {
        keptJobs.set({ name, state }, count)
        jobSeconds.set({ name, state }, seconds)
      }
    },
    model: (task, servedBy) => {
      const answers = modelAnswers.get(task) ?? new Map<string, number>()
      modelAnswers.set(task, answers.set(servedBy, (answers.get(servedBy) ?? 0) + 1))
    },
    stage: (stage, state) => {
      for (const each of STATES) stages.set({ stage, state: each }, each === state ? 1 : 0)
    },
  }
}
