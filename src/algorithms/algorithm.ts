import type { Random } from './math/random.js'

export type Params = Readonly<Record<string, number | string | boolean>>

/** What was learned, able to become bytes that `load` understands (see `artifact.ts`). */
export interface Learned {
  save(): Uint8Array
}

/**
 * One way to learn a task. `fit` is pure: the same data, params and random stream give the same model, bit for bit.
 * `load(model.save())` answers exactly as `model` does; it throws `BrokenArtifact` on bytes that it did not write.
 */
export interface Algorithm<Data, Model extends Learned> {
  readonly name: string
  readonly defaults: Params
  /** Whether it can learn from this data at all; one that cannot is left out when all are trained. */
  suits?(data: Data): boolean
  fit(data: Data, params: Params, random: Random): Model
  load(artifact: Uint8Array): Model
}

/** Parameters that memory and time grow with, by their names everywhere: whole numbers from 1 to these. */
const LARGEST_COUNTS: Params = {
  factors: 1_024,
  epochs: 1_000,
  neighbours: 10_000,
  trees: 5_000,
  leaves: 1_024,
  depth: 1_000,
  steps: 100,
  passes: 100,
}

/** Why a number cannot be the parameter of this name, as the end of a sentence; no parameter is negative. */
export function parameterFault(name: string, value: number): string | undefined {
  const most = Object.hasOwn(LARGEST_COUNTS, name) ? Number(LARGEST_COUNTS[name]) : undefined
  if (most !== undefined && !(Number.isInteger(value) && value >= 1 && value <= most))
    return `must be a whole number from 1 to ${most}, not ${value}`
  return Number.isFinite(value) && value >= 0 ? undefined : `must be a finite number that is not negative, not ${value}`
}

export function parameter(params: Params, defaults: Params, name: string): number {
  return Number(params[name] ?? defaults[name])
}
