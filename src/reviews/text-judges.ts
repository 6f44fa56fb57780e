import { createRandom } from '../algorithms/math/random.js'
import type { TextClassifier } from '../algorithms/text/classifier.js'
import { INTENTS, intentRules } from '../algorithms/text/intents.js'
import { lexicon } from '../algorithms/text/lexicon.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { SENTIMENTS } from './text.task.js'

export interface Judge {
  model: TextClassifier
  /** null: the baseline. */
  modelId: string | null
  algorithm: string
  servedBy: string
  /** The model's bytes, for worker threads; made once a model. */
  artifact(): Uint8Array
}

/** Who judges now: of each task the approved model, else the stored baseline, else the word lists as they come with the platform. */
export class TextJudges {
  private readonly wordLists = { SENTIMENT: ready(lexicon, SENTIMENTS), INTENT: ready(intentRules, INTENTS) }
  private readonly judges = new WeakMap<object, Judge>()

  constructor(private readonly models: Pick<LiveModels, 'live' | 'baseline'>) {}

  of(task: 'SENTIMENT' | 'INTENT'): Judge {
    const served = this.models.live<TextClassifier>(task) ?? this.models.baseline<TextClassifier>(task)
    return served ? this.judgeOf(served) : this.wordLists[task]
  }

  private judgeOf({ model, modelId, algorithm, servedBy }: LiveModel<TextClassifier>): Judge {
    const known = this.judges.get(model)
    if (known) return known
    const judge = { model, modelId, algorithm, servedBy, artifact: once(() => model.save()) }
    this.judges.set(model, judge)
    return judge
  }
}

function ready(algorithm: typeof lexicon, labelNames: readonly string[]): Judge {
  const model = algorithm.fit({ texts: [], labels: new Int32Array(0), labelNames }, {}, createRandom(1))
  return { model, modelId: null, algorithm: algorithm.name, servedBy: `${algorithm.name} (word lists)`, artifact: once(() => model.save()) }
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
