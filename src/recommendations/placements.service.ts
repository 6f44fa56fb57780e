import { isDeepStrictEqual } from 'node:util'
import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import { timeOf } from '../graphql/cursor.js'
import type { FieldChange } from '../graphql/upsert-preview.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText } from '../platform/text-input.js'
import { cleanVersion } from '../platform/upsert.js'
import { v7 } from '../platform/uuid.js'
import type { PlacementContent, PlacementRow, PlacementsRepository } from './placements.repository.js'
import {
  type PlacementArchiveInput,
  type PlacementPreview,
  type PlacementPreviewList,
  type PlacementRestoreInput,
  PlacementType,
  type PlacementUpsertInput,
  PlacementVersion,
} from './placements.schema.js'
import { RecommendationAlgorithm } from './recommendations.schema.js'
import type { RecommendationsService } from './recommendations.service.js'
import { cleanRules, NO_RULES, rulesToJson } from './rules.js'

type Editor = Pick<Viewer, 'name'>

const NAME = /^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$/
const ALGORITHMS: readonly string[] = Object.values(RecommendationAlgorithm)
const PREVIEWED = 12

/** Placements and the life of their rules: every change is a version, and can be seen at work before it is made. */
export class PlacementsService {
  constructor(
    private readonly repository: PlacementsRepository,
    private readonly recommendations: RecommendationsService,
    private readonly signals: Pick<Signals, 'announce'>,
  ) {}

  async find(id: string): Promise<PlacementType | null> {
    const row = await this.repository.byId(id)
    return row ? PlacementType.of(row) : null
  }

  async byName(name: string): Promise<PlacementType | null> {
    const row = NAME.test(name) ? await this.repository.byName(name) : undefined
    return row ? PlacementType.of(row) : null
  }

  page({ first, after }: { first: number; after?: string }): Promise<Connection<PlacementType>> {
    return pageOf<PlacementRow, PlacementType>({
      first,
      after,
      fetch: (cursor, limit) => this.repository.page(cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: PlacementType.of,
      count: () => this.repository.count(),
    })
  }

  async versions(ids: readonly string[]): Promise<PlacementVersion[][]> {
    const rows = await this.repository.versions(ids)
    return ids.map(id => rows.filter(({ placementId }) => placementId === id).map(PlacementVersion.of))
  }

  async upsert(editor: Editor, input: PlacementUpsertInput): Promise<PlacementType> {
    const { name, before, content, expectedVersion } = await this.planned(input)
    if (!before) {
      const created = await this.repository.create({ ...content, id: v7(), name, by: editor.name })
      if (created) return this.told(created)
      // Somebody else made it in the meantime.
      if (expectedVersion === undefined) return this.upsert(editor, input)
      throw existing(name)
    }
    if (isUnchanged(before, content)) return PlacementType.of(before)
    return this.change(editor, before, content, expectedVersion)
  }

  /** What an upsert would do to the list of a sample user, with all its checks and no effect. */
  async preview(input: PlacementUpsertInput): Promise<PlacementPreview> {
    const { name, before, content } = await this.planned(input)
    return this.compared(name, before, content, input)
  }

  previewRestore(editor: Editor, input: PlacementRestoreInput): Promise<PlacementPreview> {
    return this.rehearsed(input.name, dry => dry.restore(editor, input))
  }

  previewArchive(editor: Editor, input: PlacementArchiveInput): Promise<PlacementPreview> {
    return this.rehearsed(input.name, dry => dry.archive(editor, input))
  }

  /** What a change makes of a placement, and nothing of it stays. */
  private async rehearsed(name: string, change: (dry: PlacementsService) => Promise<PlacementType>): Promise<PlacementPreview> {
    const before = await this.named(name)
    const after = await this.repository.rehearse(async repository => {
      await change(new PlacementsService(repository, this.recommendations, { announce: async () => {} }))
      return (await repository.byId(before.id)) as PlacementRow
    })
    const { description, rules, archivedAt } = after
    return this.compared(name, before, { description, rules, archived: archivedAt !== null }, {})
  }

  private async compared(
    name: string,
    before: PlacementRow | undefined,
    content: PlacementContent,
    sample: Pick<PlacementUpsertInput, 'sampleUserExternalId' | 'sampleProductExternalIds'>,
  ): Promise<PlacementPreview> {
    const userExternalId = sample.sampleUserExternalId ?? (await this.repository.somebody()) ?? null
    const request = { userExternalId, contextProductExternalIds: sample.sampleProductExternalIds, first: PREVIEWED }
    const list = async (row: Pick<PlacementRow, 'name' | 'rules' | 'version'> | null): Promise<PlacementPreviewList> =>
      this.recommendations.rehearse(request, row)
    return {
      creates: !before,
      changes: changesOf(before, content),
      userExternalId,
      before: await list(before && !before.archivedAt ? before : null),
      after: await list(content.archived ? null : { name, rules: content.rules, version: (before?.version ?? 0) + 1 }),
    }
  }

  async restore(editor: Editor, input: PlacementRestoreInput): Promise<PlacementType> {
    const before = await this.named(input.name)
    const version = (await this.repository.versions([before.id])).find(each => each.version === input.version)
    if (!version) throw new NotFound(`This placement has no version ${input.version}`, {}, ['version'])
    const { description, rules } = version
    return this.change(editor, before, { description, rules, archived: false }, cleanVersion(input.expectedVersion))
  }

  async archive(editor: Editor, input: PlacementArchiveInput): Promise<PlacementType> {
    const before = await this.named(input.name)
    const content = { description: before.description, rules: before.rules, archived: true }
    if (before.archivedAt) return PlacementType.of(before)
    return this.change(editor, before, content, cleanVersion(input.expectedVersion))
  }

  private async planned(input: PlacementUpsertInput) {
    const { name } = input
    if (!NAME.test(name)) throw new InvalidInput('name must be 1 to 60 small letters, digits and hyphens', {}, ['name'])
    const expectedVersion = cleanVersion(input.expectedVersion)
    const before = await this.repository.byName(name)
    if (before && expectedVersion === 0) throw existing(name)
    if (!before && expectedVersion) throw new NotFound('No placement has this name; leave expectedVersion out to create one', {}, ['name'])
    if (before && expectedVersion !== undefined && expectedVersion !== before.version) throw stale(before.version, expectedVersion)
    const description = cleanOptionalText(input.description, { field: ['description'], max: 1_000, min: 0 })
    const content: PlacementContent = {
      description: description === undefined ? (before?.description ?? null) : description,
      rules: input.rules ? cleanRules(input.rules as Parameters<typeof cleanRules>[0], ALGORITHMS) : (before?.rules ?? NO_RULES),
      archived: false,
    }
    return { name, before, content, expectedVersion }
  }

  private async change(
    editor: Editor,
    before: PlacementRow,
    content: PlacementContent,
    expectedVersion: number | undefined,
  ): Promise<PlacementType> {
    if (expectedVersion !== undefined && expectedVersion !== before.version) throw stale(before.version, expectedVersion)
    const changed = await this.repository.update(before.id, before.version, content, editor.name)
    if (changed) return this.told(changed)
    const now = (await this.repository.byId(before.id)) ?? before
    if (expectedVersion !== undefined) throw stale(now.version, expectedVersion)
    return this.change(editor, now, content, undefined)
  }

  private async told(row: PlacementRow): Promise<PlacementType> {
    await this.signals.announce('placement.changed', { name: row.name })
    return PlacementType.of(row)
  }

  private async named(name: string): Promise<PlacementRow> {
    const row = NAME.test(name) ? await this.repository.byName(name) : undefined
    if (!row) throw new NotFound('No placement has this name', {}, ['name'])
    return row
  }
}

function isUnchanged(before: PlacementRow, content: PlacementContent): boolean {
  return before.archivedAt === null && changesOf(before, content).length === 0
}

function changesOf(before: PlacementRow | undefined, { description, rules, archived }: PlacementContent): FieldChange[] {
  const [old, next] = [plain(before?.rules ?? NO_RULES), plain(rules)]
  const changes = Object.keys(next).map(field => ({ field: `rules.${field}`, before: old[field] ?? null, after: next[field] }))
  const facts = [
    { field: 'description', before: before?.description ?? null, after: description },
    { field: 'archived', before: Boolean(before?.archivedAt), after: archived },
  ]
  return [...facts, ...changes].filter(change => !isDeepStrictEqual(change.before, change.after))
}

function plain(rules: Parameters<typeof rulesToJson>[0]): Record<string, unknown> {
  return JSON.parse(rulesToJson(rules))
}

function existing(name: string) {
  return new Conflict(`There is a placement "${name}" already`, 'VERSION_CONFLICT', {}, ['expectedVersion'])
}

function stale(version: number, expectedVersion: number) {
  return new Conflict(
    `This placement was changed in the meantime: it has version ${version}, not ${expectedVersion}`,
    'VERSION_CONFLICT',
    { version },
    ['expectedVersion'],
  )
}
