import type { Database } from './database.js'

export type StageState = 'ok' | 'waiting' | 'degraded' | 'failed'

export interface Stage {
  stage: string
  state: StageState
  reason?: string | null
  rowsIn?: number | null
  rowsOut?: number | null
}

/** Says what is so with a stage of the pipeline; `ok` also moves the time of the last success. Counts that are not given stay. */
export async function reportStage(
  database: Pick<Database, 'sql'>,
  { stage, state, reason = null, rowsIn = null, rowsOut = null }: Stage,
): Promise<void> {
  await database.sql(
    `INSERT INTO "StageReport" (stage, state, reason, "rowsIn", "rowsOut", "lastSuccessAt", "updatedAt")
     VALUES ($1, $2, $3, $4, $5, CASE WHEN $2 = 'ok' THEN now() END, now())
     ON CONFLICT (stage) DO UPDATE SET state = $2, reason = $3, "updatedAt" = now(),
       "rowsIn" = COALESCE($4, "StageReport"."rowsIn"), "rowsOut" = COALESCE($5, "StageReport"."rowsOut"),
       "lastSuccessAt" = CASE WHEN $2 = 'ok' THEN now() ELSE "StageReport"."lastSuccessAt" END`,
    [stage, state, reason, rowsIn, rowsOut],
  )
}

export interface StageRow extends Required<Stage> {
  lastSuccessAt: Date | null
  updatedAt: Date
}

export function listStages(database: Pick<Database, 'sql'>): Promise<StageRow[]> {
  return database.sql<StageRow>('SELECT * FROM "StageReport" ORDER BY stage')
}

export async function forgetStage(database: Pick<Database, 'sql'>, stage: string): Promise<void> {
  await database.sql('DELETE FROM "StageReport" WHERE stage = $1', [stage])
}
