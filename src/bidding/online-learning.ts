import type { Classifier } from '../algorithms/ctr/classifier.js'
import type { AccountCalendar } from '../campaigns/time-zone.js'
import { messageOf } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import type { AdLogRepository } from './ad-log.repository.js'
import { KINDS, learnable } from './click.task.js'
import { laidOutFor } from './features.js'

interface Parts {
  models: Pick<LiveModels, 'live' | 'baseline'>
  log: AdLogRepository
  calendar: AccountCalendar
  /** Until when the data reached that a model was taught. */
  taughtUntil(modelId: string): Promise<Date | null>
  logger: Log
  now?(): Date
}

const EVERY_MS = 30_000

/**
 * Between trainings the models in memory go on learning from the log, where their algorithm can: each server reads the rows whose labels have had their
 * time since the last look. The stored model stays what was approved; a restart takes it up from there again.
 */
export class OnlineLearning {
  private readonly reached = new WeakMap<object, number>()
  private readonly learned = new WeakMap<object, number>()
  private timer?: NodeJS.Timeout
  private isRunning = false

  constructor(private readonly parts: Parts) {}

  start(): void {
    this.timer ??= setInterval(() => void this.learn(), EVERY_MS).unref()
  }

  stop(): void {
    clearInterval(this.timer)
  }

  /** Rows that the live model has learned since it was taken into service. */
  rowsOf(model: LiveModel<Classifier>): number {
    return this.learned.get(model) ?? 0
  }

  /** One look at the log; returns how many rows were learned. Never throws: a model that learned nothing new still answers. */
  async learn(): Promise<number> {
    if (this.isRunning) return 0
    this.isRunning = true
    let rows = 0
    try {
      for (const name of ['CTR', 'CVR'] as const) rows += await this.learnTask(name)
    } catch (error) {
      this.parts.logger.warn('the models could not learn from the log', { error: messageOf(error) })
    } finally {
      this.isRunning = false
    }
    return rows
  }

  private async learnTask(name: 'CTR' | 'CVR'): Promise<number> {
    const { models, log, calendar } = this.parts
    const live = models.live<Classifier>(name)
    if (!live?.modelId || !live.model.update) return 0
    const until = (this.parts.now?.() ?? new Date()).getTime() - KINDS[name].waitMs
    const from = this.reached.get(live) ?? (await this.parts.taughtUntil(live.modelId))?.getTime()
    if (from === undefined || until <= from) return 0
    // Both ends are whole milliseconds: the next look starts after the last row of this one.
    const { examples } = await learnable(log, calendar, KINDS[name], { from: new Date(from + 1), until: new Date(until + 1) })
    if (examples.rows > 0) live.model.update(laidOutFor(live.model.fields, examples))
    this.reached.set(live, until)
    this.learned.set(live, this.rowsOf(live) + examples.rows)
    return examples.rows
  }
}
