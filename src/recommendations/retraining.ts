import type { ModelRow } from '../registry/model.repository.js'
import { MOST_NEW } from './new-products.js'
import type { PeopleRepository } from './people.repository.js'

/** Fewer events never ask for a training. */
const FEWEST = 100

export interface Staleness {
  isDue: boolean
  /** The algorithm that serves; the one to teach again. */
  algorithm?: string
  reason: string
}

/** Whether enough has happened since the serving algorithm was taught last; found by state, so that a lost signal costs nothing. */
export class Retraining {
  constructor(
    private readonly people: PeopleRepository,
    private readonly models: { live(): Promise<ModelRow | undefined>; newest(algorithm: string): Promise<ModelRow | undefined> },
    private readonly share: number,
  ) {}

  async staleness(): Promise<Staleness> {
    const live = await this.models.live()
    if (!live) return { isDue: false, reason: 'No model for recommendations is live yet' }
    const newest = (await this.models.newest(live.algorithm)) ?? live
    const events = await this.people.eventsSince(newest.trainedAt)
    const products = await this.people.productsSince(newest.trainedAt)
    const needed = Math.max(FEWEST, Math.ceil(this.share * newest.trainedRows))
    const reason = `${events} events and ${products} products since ${newest.algorithm} v${newest.version} was taught; ${needed} or ${MOST_NEW} are needed`
    return { isDue: events >= needed || products >= MOST_NEW, algorithm: live.algorithm, reason }
  }
}
