import { BrokenArtifact } from '../algorithms/artifact.js'
import { INTENTS } from '../algorithms/text/intents.js'
import { unpackFiles } from '../algorithms/text/own-model.js'
import type { Database } from '../platform/database.js'
import { InvalidInput, messageOf } from '../platform/errors.js'
import type { Pool } from '../platform/pool.js'
import { cleanText } from '../platform/text-input.js'
import { SENTIMENTS } from './text.task.js'

export const TEXT_TASKS = ['SENTIMENT', 'INTENT'] as const
export type TextTaskName = (typeof TEXT_TASKS)[number]
/** Labels that a classification model must have; the shop's own intents are asked for when it is trained. */
const NEEDED: Record<TextTaskName, readonly string[]> = { SENTIMENT: SENTIMENTS, INTENT: INTENTS }

/** ONNX models of the shop's own, one a text task: files that its algorithm `onnx` is trained around. Nothing of them serves before a person approved the model. */
export class OwnModels {
  constructor(
    private readonly database: Database,
    private readonly pool: Pick<Pool, 'run'>,
  ) {}

  /** The packed files; undefined where none are registered. */
  async of(task: TextTaskName): Promise<Uint8Array | undefined> {
    const [row] = await this.database.sql<{ files: Uint8Array }>('SELECT files FROM "TextModelFile" WHERE task = $1::"ModelTask"', [task])
    // A plain array: it crosses to worker threads.
    return row && new Uint8Array(row.files)
  }

  /** Tries the files in a worker thread and keeps them in place of those before. */
  async register(by: string, task: string, asked: string, bytes: Uint8Array): Promise<{ task: TextTaskName; name: string; bytes: number }> {
    const known = TEXT_TASKS.find(each => each === task)
    if (!known)
      throw new InvalidInput(`A text model is of one of ${TEXT_TASKS.join(', ')}, not ${JSON.stringify(task.slice(0, 40))}`, {}, ['task'])
    const name = cleanText(asked, { field: ['name'], max: 100 })
    try {
      unpackFiles(bytes)
      await this.pool.run({ family: 'text', function: 'tryOwnModel', args: [bytes, NEEDED[known]] })
    } catch (error) {
      if (!(error instanceof BrokenArtifact || (error as Error).name === 'RangeError')) throw error
      throw new InvalidInput(`These files cannot judge ${known}: ${messageOf(error)}`, {}, ['body'])
    }
    await this.database.sql(
      `INSERT INTO "TextModelFile" (task, name, files, "createdBy") VALUES ($1::"ModelTask", $2, $3, $4)
       ON CONFLICT (task) DO UPDATE SET name = EXCLUDED.name, files = EXCLUDED.files, "createdBy" = EXCLUDED."createdBy", "createdAt" = now()`,
      [known, name, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), by],
    )
    return { task: known, name, bytes: bytes.byteLength }
  }
}
