import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import { timeOf } from '../graphql/cursor.js'
import { decodeId } from '../graphql/node-id.js'
import { Conflict, NotFound, refuseUnless } from '../platform/errors.js'
import type { ModelStatus, ModelTask } from '../platform/generated/prisma/enums.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText } from '../platform/text-input.js'
import type { ModelRepository, ModelRow } from './model.repository.js'
import { ModelType } from './model.schema.js'

export interface Review {
  modelId: string
  note?: string | null
  expectedStatus?: ModelStatus | null
  activate?: boolean
}

type Reviewer = Pick<Viewer, 'id' | 'name'>

const LONGEST_NOTE = 2_000

/** The life of a model: candidate → (blocked | approved) → live → retired, or rejected. Only a person, or configuration that says so, moves it. */
export class ModelsService {
  constructor(
    private readonly models: ModelRepository,
    private readonly signals: Signals,
    private readonly now: () => Date = () => new Date(),
  ) {}

  async find(id: string): Promise<ModelType | null> {
    const row = await this.models.get(id)
    return row ? ModelType.of(row) : null
  }

  page({
    first,
    after,
    task,
    status,
  }: {
    first: number
    after?: string
    task?: ModelTask | null
    status?: ModelStatus | null
  }): Promise<Connection<ModelType>> {
    return pageOf<ModelRow, ModelType>({
      first,
      after,
      fetch: (cursor, limit) => this.models.page({ task, status }, cursor && { trainedAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.trainedAt.toISOString(), row.id],
      nodeOf: row => ModelType.of(row),
      count: () => this.models.count({ task, status }),
    })
  }

  /** Lets a candidate act. The guardrails have the last word. */
  async approve(reviewer: Reviewer, input: Review): Promise<{ model: ModelType }> {
    const { model, review } = await this.reviewed(reviewer, input)
    refuseUnless(model.status !== 'BLOCKED' && model.guardrails.passed, 'The guardrails blocked this model; it cannot be approved', {
      checks: model.guardrails.checks,
    })
    const from: ModelStatus[] = ['CANDIDATE', 'APPROVED']
    const moved =
      input.activate === false
        ? await this.models.move(model.id, ['CANDIDATE'], 'APPROVED', review)
        : await this.models.promote(model.id, model.task, from, review)
    return this.outcome(model, moved, 'approved', input.activate === false ? ['CANDIDATE'] : from)
  }

  async reject(reviewer: Reviewer, input: Review): Promise<{ model: ModelType }> {
    const { model, review } = await this.reviewed(reviewer, input)
    const from: ModelStatus[] = ['CANDIDATE', 'BLOCKED', 'APPROVED']
    return this.outcome(model, await this.models.move(model.id, from, 'REJECTED', review), 'rejected', from)
  }

  /** Makes a retired model live again; given the live model, the one before it. */
  async rollBack(reviewer: Reviewer, input: Review): Promise<{ model: ModelType }> {
    const { model, review } = await this.reviewed(reviewer, input)
    const target = model.status === 'LIVE' ? await this.models.previous(model.task) : model
    if (!target) throw new Conflict('There is no earlier model to go back to', 'ILLEGAL_TRANSITION', {}, ['modelId'])
    const from: ModelStatus[] = ['RETIRED']
    return this.outcome(target, await this.models.promote(target.id, target.task, from, review), 'made live again', from)
  }

  private async reviewed(reviewer: Reviewer, { modelId, note, expectedStatus }: Review) {
    const model = await this.models.get(decodeId('Model', modelId, 'modelId'))
    if (!model) throw new NotFound('No model has this id', {}, ['modelId'])
    if (expectedStatus && expectedStatus !== model.status) {
      throw new Conflict(`This model is ${model.status} by now, not ${expectedStatus}`, 'VERSION_CONFLICT', { status: model.status }, [
        'expectedStatus',
      ])
    }
    const text = cleanOptionalText(note, { field: ['note'], max: LONGEST_NOTE, min: 0 }) ?? null
    return { model, review: { by: reviewer.name, note: text, at: this.now() } }
  }

  private async outcome({ id, task }: ModelRow, moved: boolean, verb: string, from: ModelStatus[]): Promise<{ model: ModelType }> {
    const model = (await this.models.get(id)) as ModelRow
    if (!moved)
      throw new Conflict(
        `A model that is ${model.status} cannot be ${verb}; it would have to be ${from.join(' or ')}`,
        'ILLEGAL_TRANSITION',
        { status: model.status },
        ['modelId'],
      )
    await this.signals.announce('model.changed', { task })
    return { model: ModelType.of(model) }
  }
}
