import DataLoader from 'dataloader'
import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { timeOf } from '../graphql/cursor.js'
import { decodeId } from '../graphql/node-id.js'
import { Conflict, NotFound, refuseUnless } from '../platform/errors.js'
import type { ModelStatus, ModelTask } from '../platform/generated/prisma/enums.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText } from '../platform/text-input.js'
import { reviewHistory } from './card.js'
import type { Review as KeptReview, ModelRepository, ModelRow, ReviewRow } from './model.repository.js'
import { type ModelReview, type ModelReviewPreview, ModelType } from './model.schema.js'

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

  /** All that was said of a model, oldest first, batched with the request's other loads. */
  reviewsOf(context: Context, id: string): Promise<ModelReview[]> {
    return context
      .loader('model.reviews', () => {
        return new DataLoader<string, ReviewRow[]>(async ids => {
          const rows = await this.models.reviewsOf(ids)
          return ids.map(each => rows.filter(({ modelId }) => modelId === each))
        })
      })
      .load(id)
  }

  /** The card of the training, and what was said of the model since. */
  async card(context: Context, { key, card }: ModelType): Promise<string> {
    return card + reviewHistory(await this.reviewsOf(context, key))
  }

  /** Lets a candidate act. The guardrails have the last word. */
  async approve(reviewer: Reviewer, input: Review): Promise<{ model: ModelType }> {
    return this.carryOut(await this.approval(reviewer, input))
  }

  async reject(reviewer: Reviewer, input: Review): Promise<{ model: ModelType }> {
    return this.carryOut(await this.rejection(reviewer, input))
  }

  /** Makes a retired model live again; given the live model, the one before it. */
  async rollBack(reviewer: Reviewer, input: Review): Promise<{ model: ModelType }> {
    return this.carryOut(await this.rollback(reviewer, input))
  }

  /** What a review would do, with all its checks and no effect. */
  async preview(
    review: 'approval' | 'rejection' | 'rollback',
    reviewer: Reviewer,
    input: Review,
  ): Promise<{ preview: ModelReviewPreview }> {
    const move = await this[review](reviewer, input)
    if (!move.from.includes(move.model.status)) throw illegal(move.model, move)
    const live = move.to === 'LIVE' ? await this.models.live(move.model.task) : undefined
    return { preview: { model: ModelType.of(move.model), becomes: move.to, retires: live ? ModelType.of(live) : null } }
  }

  private async approval(reviewer: Reviewer, input: Review): Promise<Move> {
    const { model, review } = await this.reviewed(reviewer, input, 'APPROVED')
    refuseUnless(model.status !== 'BLOCKED' && model.guardrails.passed, 'The guardrails blocked this model; it cannot be approved', {
      checks: model.guardrails.checks,
    })
    return input.activate === false
      ? { model, review, verb: 'approved', from: ['CANDIDATE'], to: 'APPROVED' }
      : { model, review, verb: 'approved', from: ['CANDIDATE', 'APPROVED'], to: 'LIVE' }
  }

  private async rejection(reviewer: Reviewer, input: Review): Promise<Move> {
    return {
      ...(await this.reviewed(reviewer, input, 'REJECTED')),
      verb: 'rejected',
      from: ['CANDIDATE', 'BLOCKED', 'APPROVED'],
      to: 'REJECTED',
    }
  }

  private async rollback(reviewer: Reviewer, input: Review): Promise<Move> {
    const { model: given, review } = await this.reviewed(reviewer, input, 'ROLLED_BACK')
    const model = given.status === 'LIVE' ? await this.models.previous(given.task) : given
    if (!model) throw new Conflict('There is no earlier model to go back to', 'ILLEGAL_TRANSITION', {}, ['modelId'])
    return { model, review, verb: 'made live again', from: ['RETIRED'], to: 'LIVE' }
  }

  private async reviewed(reviewer: Reviewer, { modelId, note, expectedStatus }: Review, verdict: KeptReview['verdict']) {
    const model = await this.models.get(decodeId('Model', modelId, 'modelId'))
    if (!model) throw new NotFound('No model has this id', {}, ['modelId'])
    if (expectedStatus && expectedStatus !== model.status) {
      throw new Conflict(`This model is ${model.status} by now, not ${expectedStatus}`, 'VERSION_CONFLICT', { status: model.status }, [
        'expectedStatus',
      ])
    }
    const text = cleanOptionalText(note, { field: ['note'], max: LONGEST_NOTE, min: 0 }) ?? null
    return { model, review: { verdict, by: reviewer.name, note: text, at: this.now() } }
  }

  private async carryOut(move: Move): Promise<{ model: ModelType }> {
    const { id, task } = move.model
    const isMoved =
      move.to === 'LIVE'
        ? await this.models.promote(id, task, move.from, move.review)
        : await this.models.move(id, move.from, move.to, move.review)
    const model = (await this.models.get(id)) as ModelRow
    if (!isMoved) throw illegal(model, move)
    await this.signals.announce('model.changed', { task })
    return { model: ModelType.of(model) }
  }
}

/** One step in the life of a model. */
interface Move {
  model: ModelRow
  review: KeptReview
  verb: string
  from: readonly ModelStatus[]
  to: ModelStatus
}

function illegal({ status }: ModelRow, { verb, from }: Move) {
  return new Conflict(
    `A model that is ${status} cannot be ${verb}; it would have to be ${from.join(' or ')}`,
    'ILLEGAL_TRANSITION',
    { status },
    ['modelId'],
  )
}
