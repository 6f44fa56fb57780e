import { messageOf } from '../platform/errors.js'
import type { Metrics } from '../platform/metrics.js'
import type { StageRow } from '../platform/stages.js'
import type { StageHealth } from './health.schema.js'

/** A part that can be asked whether it is well right now; it throws, or answers with a sentence and counts. */
export type LiveCheck = () => Promise<Partial<StageHealth> | void>

interface HealthParts {
  checks: Readonly<Record<string, LiveCheck>>
  stages(): Promise<StageRow[]>
  metrics: Metrics
  now?: () => Date
}

const CHECK_TIMEOUT_MS = 3_000
/** A worker reports every 15 s. */
const WORKER_GONE_AFTER_MS = 60_000
const WORKER_STARTS_WITHIN_MS = 30_000

/** Nothing is ever silently off: live checks of the parts, and the last report of every stage. */
export class HealthService {
  private readonly since: number

  constructor(private readonly parts: HealthParts) {
    this.since = this.now().getTime()
  }

  async stages(): Promise<StageHealth[]> {
    const live = await Promise.all(Object.entries(this.parts.checks).map(([stage, check]) => this.check(stage, check)))
    const reported = await this.parts.stages().catch(() => [])
    const all = [...live, ...this.workers(reported), ...reported.filter(row => !row.stage.startsWith('worker:')).map(healthOf)]
    for (const { stage, state } of all) this.parts.metrics.stage(stage, state)
    return all
  }

  async readiness(): Promise<{ part: string; ok: boolean; reason?: string }[]> {
    const live = await Promise.all(Object.entries(this.parts.checks).map(([stage, check]) => this.check(stage, check)))
    return live.map(({ stage, state, reason }) => ({
      part: stage,
      ok: state !== 'failed',
      ...(reason && state !== 'ok' ? { reason } : {}),
    }))
  }

  private async check(stage: string, check: LiveCheck): Promise<StageHealth> {
    const now = this.now()
    try {
      const facts = await withTimeout(check())
      return { stage, state: 'ok', reason: null, lastSuccessAt: now, rowsIn: null, rowsOut: null, ...facts }
    } catch (error) {
      return { stage, state: 'failed', reason: messageOf(error), lastSuccessAt: null, rowsIn: null, rowsOut: null }
    }
  }

  private workers(reported: StageRow[]): StageHealth[] {
    const alive = reported.filter(
      row => row.stage.startsWith('worker:') && this.now().getTime() - row.updatedAt.getTime() < WORKER_GONE_AFTER_MS,
    )
    const newest = reported.filter(row => row.stage.startsWith('worker:')).sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime())[0]
    // Beside a server that has just started a worker may be starting, too.
    const isEarly = this.now().getTime() - this.since < WORKER_STARTS_WITHIN_MS
    const state = alive.length > 0 ? 'ok' : isEarly ? 'waiting' : 'failed'
    const reason =
      alive.length > 0
        ? `${alive.length} running`
        : isEarly
          ? 'No worker has reported yet; npm start brings its own, npm run worker starts one'
          : 'No worker runs, so nothing is trained or imported; start one with npm run worker'
    return [{ stage: 'workers', state, reason, lastSuccessAt: newest?.updatedAt ?? null, rowsIn: null, rowsOut: null }]
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

function healthOf({ stage, state, reason, lastSuccessAt, rowsIn, rowsOut }: StageRow): StageHealth {
  return { stage, state, reason, lastSuccessAt, rowsIn, rowsOut }
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(() => failed(new Error('it gives no answer')), CHECK_TIMEOUT_MS)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
