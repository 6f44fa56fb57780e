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

export function parameter(params: Params, defaults: Params, name: string): number {
  return Number(params[name] ?? defaults[name])
}
