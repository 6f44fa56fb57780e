import { createRandom } from '../algorithms/math/random.js'
import type { TextClassifier } from '../algorithms/text/classifier.js'
import { INTENTS, intentRules } from '../algorithms/text/intents.js'
import { lexicon } from '../algorithms/text/lexicon.js'
import { OWN_MODEL } from '../algorithms/text/own-model.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { SENTIMENTS } from './text.task.js'

export interface Judge {
  model: TextClassifier
  /** null: the baseline. */
  modelId: string | null
  algorithm: string
  servedBy: string
  /** The model's bytes, for worker threads, which share them; made once a model. */
  artifact(): Uint8Array
  /** Whether it answers a short text in less than a millisecond or so; a model of somebody's own takes what it takes. */
  isQuick: boolean
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
    const judge = { model, modelId, algorithm, servedBy, artifact: bytesOf(model), isQuick: algorithm !== OWN_MODEL }
    this.judges.set(model, judge)
    return judge
  }
}

function ready(algorithm: typeof lexicon, labelNames: readonly string[]): Judge {
  const model = algorithm.fit({ texts: [], labels: new Int32Array(0), labelNames }, {}, createRandom(1))
  const servedBy = `${algorithm.name} (word lists)`
  return { model, modelId: null, algorithm: algorithm.name, servedBy, artifact: bytesOf(model), isQuick: true }
}

function bytesOf(model: TextClassifier): () => Uint8Array {
  let made: Uint8Array | undefined
  return () => {
    if (made) return made
    const bytes = model.save()
    made = new Uint8Array(new SharedArrayBuffer(bytes.length))
    made.set(bytes)
    return made
  }
}
