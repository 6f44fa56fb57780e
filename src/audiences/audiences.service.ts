import DataLoader from 'dataloader'
import type { Lookalike } from '../algorithms/lookalike/index.js'
import { requireScope, Scope, type Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { intIdOf, timeOf } from '../graphql/cursor.js'
import { JobType } from '../graphql/job.js'
import { decodeId, decodeIntId } from '../graphql/node-id.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import type { AudienceSource } from '../platform/generated/prisma/enums.js'
import type { JobRow } from '../platform/job-store.js'
import type { Pool } from '../platform/pool.js'
import type { Signals } from '../platform/signals.js'
import { cleanText } from '../platform/text-input.js'
import { cleanVersion } from '../platform/upsert.js'
import { v7 } from '../platform/uuid.js'
import type { RecommendationsService } from '../recommendations/recommendations.service.js'
import type { SegmentsService } from '../segments/segments.service.js'
import type { UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import type { AudienceRow, AudiencesRepository, Definition, Hold, Range } from './audiences.repository.js'
import {
  type AudienceActionInput,
  type AudienceCreateInput,
  type AudiencePreview,
  AudienceType,
  type SuppressionSetInput,
} from './audiences.schema.js'

export interface AudienceParts {
  audiences: AudiencesRepository
  users: UsersService
  segments: SegmentsService
  recommendations: RecommendationsService
  pool: Pool
  signals: Pick<Signals, 'announce'>
  seed: number
  /** Lets a job build this version. */
  build(audienceId: string, version: number, createdBy: string): Promise<JobRow>
}

/** An audience, and the job that finds its members. */
interface Started {
  audience: AudienceType
  job: JobType
}

const RANGE = 50_000
const SEEDS = 20_000
const OTHERS = 40_000
const FEWEST_SEEDS = 10
const DEFAULT_SHARE = 0.05
const MOST_MEMBERS = 100_000_000

/** Users to be addressed: found from a segment, by likeness, by what they would buy, or by a prediction; without those who must not be. */
export class AudiencesService {
  constructor(
    private readonly parts: AudienceParts,
    private readonly now: () => Date = () => new Date(),
  ) {}

  async node(key: string, { viewer }: Context): Promise<AudienceType | null> {
    requireScope(viewer, Scope.SEGMENTS_READ)
    return this.find(key)
  }

  async find(id: string): Promise<AudienceType | null> {
    const row = await this.stored(id)
    return row ? AudienceType.of(row) : null
  }

  /** Batched with the request's other loads. */
  load(context: Context, id: string): Promise<AudienceType | null> {
    return context
      .loader('audience', () => {
        return new DataLoader<string, AudienceType | null>(async ids => {
          const rows = new Map((await this.parts.audiences.byIds(ids)).map(row => [row.id, row]))
          return ids.map(each => {
            const row = rows.get(each)
            return row ? AudienceType.of(row) : null
          })
        })
      })
      .load(id)
  }

  page({ first, after }: { first: number; after?: string }): Promise<Connection<AudienceType>> {
    return pageOf<AudienceRow, AudienceType>({
      first,
      after,
      fetch: (cursor, limit) => this.parts.audiences.page(cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: AudienceType.of,
      count: () => this.parts.audiences.count(),
    })
  }

  members(id: string, { first, after }: { first: number; after?: string }): Promise<Connection<UserType>> {
    let found = new Map<number, UserType>()
    return pageOf<{ userId: number; score: number }, UserType>({
      first,
      after,
      fetch: async (cursor, limit) => {
        const from = cursor && { score: scoreOf(cursor[0]), userId: intIdOf(cursor) }
        const rows = await this.parts.audiences.members(id, from, limit)
        found = await this.parts.users.byIds(rows.map(row => row.userId))
        return rows.filter(row => found.has(row.userId))
      },
      cursorOf: row => [String(row.score), String(row.userId)],
      nodeOf: row => found.get(row.userId) as UserType,
      count: () => this.parts.audiences.memberTotal(id),
    })
  }

  async create(viewer: Pick<Viewer, 'name'>, input: AudienceCreateInput): Promise<Started> {
    const { source, definition } = await this.definitionOf(input)
    const name = cleanText(input.name, { field: ['name'], max: 200 })
    const row = await this.parts.audiences.create({ id: v7(), name, source, definition, createdBy: viewer.name })
    return this.started(row, viewer)
  }

  /** The same rules, with no effect. */
  rehearse<T>(work: (dry: AudiencesService) => Promise<T>): Promise<T> {
    const signals = { announce: async () => {} }
    return this.parts.audiences.rehearse(audiences => work(new AudiencesService({ ...this.parts, audiences, signals })))
  }

  /** What a rebuild would find now. */
  previewRebuild(input: AudienceActionInput): Promise<AudiencePreview> {
    return this.rehearse(async dry => dry.held(await dry.begin(input)))
  }

  /** What would be put away. */
  async previewArchive(input: AudienceActionInput): Promise<AudiencePreview> {
    return this.rehearse(dry => dry.archive(input))
  }

  async rebuild(viewer: Pick<Viewer, 'name'>, input: AudienceActionInput): Promise<Started> {
    return this.started(await this.begin(input), viewer)
  }

  private async begin(input: AudienceActionInput): Promise<AudienceRow> {
    const id = decodeId('Audience', input.audienceId, 'audienceId')
    const row = await this.parts.audiences.rebuild(id, cleanVersion(input.expectedVersion))
    if (!row) throw await this.refusal(id)
    return row
  }

  async archive(input: AudienceActionInput): Promise<AudienceType> {
    const id = decodeId('Audience', input.audienceId, 'audienceId')
    const campaigns = await this.parts.audiences.campaignsOf(id)
    if (campaigns.length > 0)
      throw new Conflict(`Campaigns need it: ${campaigns.map(({ name }) => name).join(', ')}`, 'ILLEGAL_TRANSITION', {}, ['audienceId'])
    const row = await this.parts.audiences.archive(id, cleanVersion(input.expectedVersion))
    if (!row) throw await this.refusal(id)
    await this.parts.signals.announce('audience.changed', { audienceId: id })
    return AudienceType.of(row)
  }

  /** What an audience would hold; of sources that need a model to be learned or asked first, only whether the input is right. */
  async preview(input: AudienceCreateInput): Promise<AudiencePreview> {
    const { source, definition } = await this.definitionOf(input)
    cleanText(input.name, { field: ['name'], max: 200 })
    return this.held({ source, definition })
  }

  private async held({ source, definition }: Pick<AudienceRow, 'source' | 'definition'>): Promise<AudiencePreview> {
    if (source !== 'SEGMENT' && source !== 'MODEL_SCORE') return { size: null, excluded: [] }
    const wanted = await this.wantedOf(definition)
    const rows = await this.parts.audiences.tally({ id: '', source, definition, detail: {} } as unknown as AudienceRow, wanted)
    const eligible = rows.find(({ reason }) => reason === null)?.count ?? 0
    const excluded = rows.flatMap(({ reason, count }) => (reason ? { reason, count } : []))
    excluded.sort((a, b) => (a.reason < b.reason ? -1 : 1))
    const size = Math.min(eligible, wanted ?? eligible)
    if (size >= definition.minimumSize || size === 0) return { size, excluded }
    return { size: 0, excluded: [...excluded, { reason: 'TOO_SMALL', count: size }] }
  }

  async suppress({ userExternalIds, suppressed, reason }: SuppressionSetInput): Promise<number> {
    const wanted = [...new Set(userExternalIds)]
    if (wanted.length < 1 || wanted.length > 1_000)
      throw new InvalidInput('userExternalIds must be 1 to 1000 users', {}, ['userExternalIds'])
    const why = suppressed ? cleanText(reason ?? '', { field: ['reason'], max: 200 }) : ''
    const found = await this.parts.users.byExternalIds(wanted)
    const missing = wanted.filter(id => !found.has(id))
    if (missing.length > 0) throw new NotFound(`No user is called ${missing.slice(0, 5).join(', ')}`, {}, ['userExternalIds'])
    const ids = [...found.values()].map(user => decodeIntId('User', user.id))
    await (suppressed ? this.parts.audiences.suppress(ids, why) : this.parts.audiences.unsuppress(ids))
    return ids.length
  }

  /** Versions to be built that no job is at. */
  forgotten(): Promise<{ id: string; version: number }[]> {
    return this.parts.audiences.forgotten()
  }

  setJob(id: string, jobId: string): Promise<void> {
    return this.parts.audiences.setJob(id, jobId)
  }

  /** Learns what the parts need, and cuts the users into key ranges; nothing when another version is wanted by now. */
  async prepare(id: string, version: number): Promise<Range[]> {
    const audience = await this.current(id, version)
    if (!audience) return []
    await this.parts.audiences.prepare(id, version, await this.detailOf(audience))
    return this.parts.audiences.ranges(RANGE)
  }

  async scoreRange(id: string, version: number, range: Range, hold: Hold, signal: AbortSignal): Promise<number> {
    const audience = await this.current(id, version)
    if (!audience) return 0
    const { audiences, recommendations } = this.parts
    const given =
      audience.source === 'PRODUCT_AFFINITY'
        ? mapOf(await recommendations.affinities(await audiences.usersIn(range), audience.detail.products ?? [], signal))
        : undefined
    return audiences.scoreRange(audience, range, given, hold)
  }

  async merge(id: string, version: number, hold: Hold): Promise<string> {
    const audience = await this.current(id, version)
    if (!audience) return 'Another version is wanted by now'
    const merged = await this.parts.audiences.merge(audience, this.now(), hold)
    if (!merged) return 'Another version is wanted by now'
    const { size, excluded } = merged
    await this.parts.signals.announce('audience.changed', { audienceId: id })
    const left = excluded.reduce((sum, { count }) => sum + count, 0)
    return `"${audience.name}" has ${size} members; ${left} were left out`
  }

  async fail(id: string, version: number, failure: string): Promise<void> {
    await this.parts.audiences.fail(id, version, failure)
    await this.parts.signals.announce('audience.changed', { audienceId: id })
  }

  private async detailOf(audience: AudienceRow): Promise<AudienceRow['detail']> {
    const { definition, source } = audience
    const wanted = await this.wantedOf(definition)
    if (source === 'LOOKALIKE') return { ...(await this.learnLikeness(definition.seedAudienceId as string)), wanted }
    if (source !== 'PRODUCT_AFFINITY') return { wanted }
    const products = definition.productId ? [definition.productId] : await this.parts.audiences.productsOf(definition.category as string)
    const known = await this.parts.recommendations.scorableFor(products)
    if (known.length === 0)
      throw new InvalidInput(
        'The live recommendation model knows none of these products yet, nor anything like them; train and approve one that does',
      )
    return { wanted, products: known }
  }

  private async learnLikeness(seedId: string): Promise<AudienceRow['detail']> {
    const { audiences, pool } = this.parts
    const total = await audiences.memberTotal(seedId)
    if (total === 0) throw new InvalidInput('The seed audience has no members: there is nobody to be like')
    const [seed, others] = [await audiences.features(seedId, true, SEEDS), await audiences.features(seedId, false, OTHERS)]
    if (seed.length < FEWEST_SEEDS)
      throw new InvalidInput(
        `Of the ${total} members of the seed, ${seed.length} have a profile; likeness is learned from ${FEWEST_SEEDS} or more`,
      )
    if (others.length < FEWEST_SEEDS)
      throw new InvalidInput(`Only ${others.length} users with a profile are not in the seed: there is hardly anybody to find`)
    const columns = seed[0].length
    const flat = (rows: number[][]) => Float64Array.from(rows.filter(row => row.length === columns).flat())
    const args = [flat(seed), flat(others), columns, this.parts.seed]
    const { result } = await pool.run<Lookalike>({ family: 'lookalike', function: 'fitLookalike', args })
    const { intercept, weights, means, missing, auc, curve } = result
    return { auc, curve, linear: { intercept, weights: [...weights], means: [...means], missing: [...missing] } }
  }

  private async wantedOf({ share, limit }: Definition): Promise<number | undefined> {
    const ofShare = share === undefined ? undefined : Math.ceil(share * (await this.parts.audiences.users()))
    return ofShare === undefined ? limit : Math.min(ofShare, limit ?? ofShare)
  }

  private async definitionOf(input: AudienceCreateInput): Promise<{ source: AudienceSource; definition: Definition }> {
    const { segmentId, seedAudienceId, productId, productExternalId, category, prediction } = input
    const given = Object.entries({ segmentId, seedAudienceId, productId, productExternalId, category, prediction }).filter(
      ([, value]) => value !== undefined && value !== null,
    )
    if (given.length !== 1)
      throw new InvalidInput(
        `Give exactly one of segmentId, seedAudienceId, productId, productExternalId, category and prediction, not ${given.map(([name]) => name).join(' and ') || 'none'}`,
        {},
        [given[1]?.[0] ?? 'segmentId'],
      )
    const source = SOURCES[given[0][0]]
    if (input.source && input.source !== source) throw new InvalidInput(`${given[0][0]} makes a ${source}`, {}, ['source'])
    const share = input.share ?? (source === 'LOOKALIKE' && !input.limit ? DEFAULT_SHARE : undefined)
    if (share !== undefined && !(share > 0 && share <= 1)) throw new InvalidInput('share must be above 0 and at most 1', {}, ['share'])
    const definition: Definition = {
      ...(await this.sourceOf(input)),
      share,
      limit: whole(input.limit, 1, MOST_MEMBERS, 'limit'),
      consent: input.consent === undefined ? 'ADS' : input.consent,
      minimumSize: whole(input.minimumSize, 0, 1_000_000, 'minimumSize') ?? 0,
    }
    if (input.frequencyCap)
      definition.frequencyCap = {
        impressions: whole(input.frequencyCap.impressions, 1, 10_000, 'frequencyCap') as number,
        hours: whole(input.frequencyCap.hours, 1, 8_760, 'frequencyCap') as number,
      }
    return { source, definition }
  }

  private async sourceOf(input: AudienceCreateInput): Promise<Partial<Definition>> {
    if (input.segmentId) {
      const segmentId = decodeId('Segment', input.segmentId, 'segmentId')
      if (!(await this.parts.segments.find(segmentId))) throw new NotFound('No segment has this id', {}, ['segmentId'])
      return { segmentId }
    }
    if (input.seedAudienceId) {
      const seedAudienceId = decodeId('Audience', input.seedAudienceId, 'seedAudienceId')
      if (!(await this.stored(seedAudienceId))) throw new NotFound('No audience has this id', {}, ['seedAudienceId'])
      return { seedAudienceId }
    }
    if (input.prediction) return { prediction: input.prediction, ascending: input.ascending || undefined }
    if (input.category) {
      const category = cleanText(input.category, { field: ['category'], max: 200 })
      if ((await this.parts.audiences.productsOf(category)).length === 0)
        throw new NotFound('No product is of this category', {}, ['category'])
      return { category }
    }
    if (input.productId) return { productId: decodeIntId('Product', input.productId, 'productId') }
    const productId = await this.parts.audiences.productByExternalId(input.productExternalId ?? '')
    if (productId === undefined) throw new NotFound('No product has this id', {}, ['productExternalId'])
    return { productId }
  }

  private async started(row: AudienceRow, viewer: Pick<Viewer, 'name'>): Promise<Started> {
    const job = await this.parts.build(row.id, row.version, viewer.name)
    await this.parts.audiences.setJob(row.id, job.id)
    return { audience: AudienceType.of({ ...row, jobId: job.id }), job: JobType.of(job) }
  }

  private async stored(id: string): Promise<AudienceRow | undefined> {
    const [row] = await this.parts.audiences.byIds([id])
    return row?.archivedAt ? undefined : row
  }

  private async current(id: string, version: number): Promise<AudienceRow | undefined> {
    const row = await this.stored(id)
    return row?.version === version && row.status === 'BUILDING' ? row : undefined
  }

  private async refusal(id: string): Promise<Error> {
    const row = await this.stored(id)
    if (!row) return new NotFound('No audience has this id', {}, ['audienceId'])
    return new Conflict(`The audience is at version ${row.version} by now`, 'VERSION_CONFLICT', { version: row.version }, [
      'expectedVersion',
    ])
  }
}

const SOURCES: Record<string, AudienceSource> = {
  segmentId: 'SEGMENT',
  seedAudienceId: 'LOOKALIKE',
  productId: 'PRODUCT_AFFINITY',
  productExternalId: 'PRODUCT_AFFINITY',
  category: 'PRODUCT_AFFINITY',
  prediction: 'MODEL_SCORE',
}

function mapOf({ ids, scores }: { ids: number[]; scores: number[] }): Map<number, number> {
  return new Map(ids.map((id, index) => [id, scores[index]]))
}

function whole(value: number | null | undefined, least: number, most: number, field: string): number | undefined {
  if (value === null || value === undefined) return undefined
  if (!Number.isInteger(value) || value < least || value > most)
    throw new InvalidInput(`${field} must be a whole number from ${least} to ${most}`, {}, [field])
  return value
}

function scoreOf(text: string): number {
  const score = Number(text)
  if (text === '' || Number.isNaN(score)) throw new InvalidInput('after is not a cursor of this list', {}, ['after'])
  return score
}
