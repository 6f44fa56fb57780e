import type { LabelledTexts, TextClassifier } from '../algorithms/text/classifier.js'
import { intentAlgorithms, sentimentAlgorithms } from '../algorithms/text/index.js'
import { INTENTS } from '../algorithms/text/intents.js'
import { ownModel } from '../algorithms/text/own-model.js'
import type { Task, TaskData } from '../registry/task.js'
import type { OwnModels } from './own-models.js'
import type { LabelledText, ReviewsRepository } from './reviews.repository.js'

/** In the order of their indexes, worst first. */
export const SENTIMENTS = ['NEGATIVE', 'NEUTRAL', 'POSITIVE'] as const
/** Where the files of a model of the shop's own come from. */
type Files = Pick<OwnModels, 'of'>

const NO_KEYS = new Int32Array(0)

/** How good a text is, learned from the ratings beside reviews and from what people corrected; a correction weighs five times a rating. */
export function sentimentTask(repository: ReviewsRepository, files: Files): Task<LabelledTexts, TextClassifier> {
  return {
    name: 'SENTIMENT',
    family: 'text',
    algorithms: [...sentimentAlgorithms, ownModel],
    primary: { metric: 'macroF1', higherIsBetter: true },
    minimumRows: 200,
    load: async now => taskData(await repository.sentimentLabels(now), SENTIMENTS, await files.of('SENTIMENT')),
  }
}

/** What somebody wants, learned from labels that people gave; their own intents stand beside those of the first day. */
export function intentTask(repository: ReviewsRepository, files: Files): Task<LabelledTexts, TextClassifier> {
  return {
    name: 'INTENT',
    family: 'text',
    algorithms: [...intentAlgorithms, ownModel],
    primary: { metric: 'accuracy', higherIsBetter: true },
    minimumRows: 50,
    load: async now => {
      const rows = await repository.corrections('INTENT', now)
      const own = [...new Set(rows.map(({ label }) => label))].filter(label => !(INTENTS as readonly string[]).includes(label)).sort()
      return taskData(rows, [...INTENTS, ...own], await files.of('INTENT'))
    },
  }
}

function taskData(rows: readonly LabelledText[], labelNames: readonly string[], ownModel?: Uint8Array): TaskData<LabelledTexts> {
  const known = rows.filter(({ label }) => labelNames.includes(label))
  const times = Float64Array.from(known, ({ at }) => at.getTime())
  return {
    data: {
      texts: known.map(({ text }) => text),
      labels: Int32Array.from(known, ({ label }) => labelNames.indexOf(label)),
      labelNames,
      weights: Float32Array.from(known, ({ weight }) => weight),
      times,
      ...(ownModel ? { ownModel } : {}),
    },
    rows: known.length,
    from: known.length > 0 ? new Date(times.reduce((a, b) => Math.min(a, b))) : null,
    to: known.length > 0 ? new Date(times.reduce((a, b) => Math.max(a, b))) : null,
    keys: NO_KEYS,
  }
}
