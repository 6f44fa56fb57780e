import { createBatcher } from '../platform/batcher.js'
import type { Signals } from '../platform/signals.js'
import type { Dealings, Moment, PlacementRow, PlacementsRepository } from './placements.repository.js'

const FRESH_MS = 5_000

/** The placements of the shop in memory, at most five seconds old, and at once when `placement.changed` says so. */
export class Placements {
  /** What a visitor bought, was shown and had in the cart; look-ups of one turn share one statement. */
  readonly dealings: (moment: Moment) => Promise<Dealings>
  private known?: { at: number; byName: Promise<Map<string, PlacementRow>> }
  private readonly unsubscribe: () => void

  constructor(
    private readonly repository: PlacementsRepository,
    signals: Pick<Signals, 'on'>,
  ) {
    this.dealings = createBatcher(moments => repository.dealings(moments))
    this.unsubscribe = signals.on('placement.changed', () => this.forget())
  }

  /** Undefined when there is none by this name; an archived one is found and says so. */
  async find(name: string): Promise<PlacementRow | undefined> {
    const now = performance.now()
    if (!this.known || now - this.known.at > FRESH_MS) {
      const byName = this.repository.all().then(rows => new Map(rows.map(row => [row.name, row])))
      this.known = { at: now, byName }
      // A failed read is not remembered.
      byName.catch(() => this.forget())
    }
    return (await this.known.byName).get(name)
  }

  forget(): void {
    this.known = undefined
  }

  close(): void {
    this.unsubscribe()
  }
}
