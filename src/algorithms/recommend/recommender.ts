import type { Algorithm, Learned } from '../algorithm.js'
import type { Content } from './content.js'

/** Interactions in coordinate form, one entry an event or rating, in time order where times are known. */
export interface Interactions {
  /** Number of users; `users[n]` is an index below it. */
  userCount: number
  itemCount: number
  users: Int32Array
  items: Int32Array
  /** Rating, or the weight of the event type; several entries of one pair are summed for implicit data, the last one counts for ratings. */
  values: Float32Array
  /** Milliseconds since the epoch; 0 where unknown. */
  times: Float64Array
  /** `explicit`: values are ratings with a scale; `implicit`: values are weights of preference. */
  kind: 'explicit' | 'implicit'
  /** The moment of training, milliseconds since the epoch. */
  now: number
  /** What the items are, by item index, where that is known; content-based algorithms do nothing without it. */
  content?: Content
}

/** What one user did, newest last; item indexes of the model. Also a user the model never saw. */
export interface History {
  items: Int32Array
  values: Float32Array
  times: Float64Array
}

/** One piece of evidence for an item: its exact part of the score. The parts of an explanation sum to the score. */
export interface Evidence {
  kind: 'popularity' | 'neighbour-item' | 'neighbour-user' | 'content' | 'factor' | 'repeat' | 'rank'
  /** Items of the history (or bought by the neighbour) that carry the evidence. */
  items: number[]
  /** Contribution to the score. */
  weight: number
  /** How alike, in [−1, 1], where the kind has such a number. */
  similarity?: number
  /** Words and attributes that both have, strongest first; of evidence by content. */
  terms?: string[]
  /** The algorithm whose evidence this is; of a hybrid. */
  by?: string
}

export interface Similar {
  items: Int32Array
  scores: Float32Array
}

/** Items, best first, of equal scores the lower index. */
export interface Ranking {
  items: Int32Array
  scores: Float64Array
}

/** A learned recommender. Every method answers for empty, unknown and huge histories; scores are finite. */
export interface Recommender extends Learned {
  readonly itemCount: number
  /** Writes the score of every item for `history` into `out` (length itemCount); higher is better; unscored items get 0. */
  score(history: History, out: Float64Array): void
  /** Predicted rating (explicit) or preference (implicit) of one item. */
  predict(history: History, item: number): number
  /** Why `item` got its score, strongest first. */
  explain(history: History, item: number, limit?: number): Evidence[]
  /** The `count` items most similar to `item`, best first, without itself. */
  similar(item: number, count: number): Similar
  /**
   * The `count` items of highest `score` without those in the history if it says so: the same as by `score`, without a look at every item. Items with
   * a score of 0 may be missing. Absent where every item has to be scored.
   */
  best?(history: History, count: number, withoutHistory: boolean): Ranking
  /** `score` of these items alone, bit by bit the same; of all that have `best`. */
  scoreOf?(history: History, items: Int32Array): Float64Array
  /**
   * Scores for `history` of items that came after the training, by what they are; on the scale of `score`, so the two can be merged.
   * Absent where the algorithm knows only behaviour.
   */
  scoreNew?(history: History, content: Content): Float64Array
  /** How alike two items are by what they are, in [0, 1]; of algorithms that know it. */
  alike?(a: number, b: number): number
  /** Weights of the parts of a hybrid, by amount of history: what a person may read of how it decides. */
  readonly blend?: readonly BlendLevel[]
}

/** What a hybrid does for histories of at least `from` items, until the next level. */
export interface BlendLevel {
  from: number
  weights: Readonly<Record<string, number>>
}

export interface RecommendAlgorithm extends Algorithm<Interactions, Recommender> {
  /** Values worth trying for some parameters; the trainer chooses on a validation split (see `tune.ts`). */
  readonly search?: Readonly<Record<string, readonly (number | string | boolean)[]>>
}
