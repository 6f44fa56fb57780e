import { encodeId } from '../graphql/node-id.js'
import type { Log } from '../platform/log.js'
import type { ModelRow } from './model.repository.js'
import type { ModelsService } from './model.service.js'
import type { Task } from './task.js'

/** Approves in nobody's name, and only when configuration says so; every model it lets act says who it was. */
export class Approver {
  constructor(
    private readonly models: ModelsService,
    private readonly tasks: ReadonlyMap<string, Task<never>>,
    private readonly autoApprove: boolean,
    private readonly log: Log,
  ) {}

  /** The best candidate of a task goes live, the others are approved beside it. `reason` overrides configuration (the demo's first models). */
  async approveByConfiguration(trained: readonly ModelRow[], reason?: string): Promise<string[]> {
    const note = reason ?? (this.autoApprove ? 'Approved by configuration: BELLWETHER_AUTO_APPROVE=on' : undefined)
    if (!note) return []
    const candidates = trained.filter(model => model.status === 'CANDIDATE').sort((a, b) => this.quality(b) - this.quality(a))
    const sentences: string[] = []
    for (const [place, model] of candidates.entries()) {
      const activate = place === 0
      await this.models.approve({ id: 'configuration', name: 'configuration' }, { modelId: encodeId('Model', model.id), note, activate })
      this.log.warn('a model was approved without a person', { task: model.task, algorithm: model.algorithm, version: model.version, note })
      sentences.push(`${model.algorithm} v${model.version} was approved by configuration${activate ? ' and is live' : ''}`)
    }
    return sentences
  }

  private quality(model: ModelRow): number {
    const primary = this.tasks.get(model.task)?.primary
    return primary ? model.metrics[primary.metric] * (primary.higherIsBetter ? 1 : -1) : 0
  }
}
