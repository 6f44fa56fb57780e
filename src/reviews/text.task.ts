import { createRandom } from '../algorithms/math/random.js'
import { best, type LabelledTexts, type TextClassifier } from '../algorithms/text/classifier.js'
import { intentAlgorithms, sentimentAlgorithms } from '../algorithms/text/index.js'
import { intentExamples, OTHER } from '../algorithms/text/intent-examples.js'
import { INTENTS, intentRules } from '../algorithms/text/intents.js'
import { ownModel } from '../algorithms/text/own-model.js'
import type { Task, TaskData } from '../registry/task.js'
import type { OwnModels } from './own-models.js'
import type { LabelledText, ReviewsRepository } from './reviews.repository.js'

/** In the order of their indexes, worst first. */
export const SENTIMENTS = ['NEGATIVE', 'NEUTRAL', 'POSITIVE'] as const
/** Where the files of a model of the shop's own come from. */
type Files = Pick<OwnModels, 'of'>

const NO_KEYS = new Int32Array(0)
/** So many of the newest texts that no person labelled are labelled by the rules of intents, where these are so sure of one, or see none. */
const RULED_TEXTS = 1_000
const RULES_SURE = 0.6
const NO_INTENT = 0.25
/** Weights below 1: what only teaches. A person's word weighs 5. */
const RULED_WEIGHT = 0.1
const EXAMPLE_WEIGHT = 0.9

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

/**
 * What somebody wants, learned from labels that people gave; their own intents stand beside those of the first day, which a model knows by examples and by texts that the rules are sure of.
 */
export function intentTask(repository: ReviewsRepository, files: Files): Task<LabelledTexts, TextClassifier> {
  return {
    name: 'INTENT',
    family: 'text',
    algorithms: [...intentAlgorithms, ownModel],
    primary: { metric: 'accuracy', higherIsBetter: true },
    minimumRows: 50,
    load: async now => {
      const rows = await repository.corrections('INTENT', now)
      const firstDay: readonly string[] = [...INTENTS, OTHER]
      const own = [...new Set(rows.map(({ label }) => label))].filter(label => !firstDay.includes(label)).sort()
      const known = ruled(await repository.uncorrectedTexts('INTENT', RULED_TEXTS))
      return taskData(rows, [...firstDay, ...own], await files.of('INTENT'), known)
    },
  }
}

/** What the rules of the first day are sure of, and the examples: it teaches, with less weight than a person's word, and tests nothing. */
function ruled(texts: readonly string[]): LabelledText[] {
  const rules = intentRules.fit({ texts: [], labels: new Int32Array(0), labelNames: INTENTS }, {}, createRandom(1))
  const at = new Date(0)
  const sure = texts.flatMap((text): LabelledText[] => {
    const { label, confidence } = best(rules.classify(text))
    if (confidence >= RULES_SURE) return [{ text, label: INTENTS[label], weight: RULED_WEIGHT, at }]
    return confidence < NO_INTENT ? [{ text, label: OTHER, weight: RULED_WEIGHT, at }] : []
  })
  return [...intentExamples.map(({ text, intent }): LabelledText => ({ text, label: intent, weight: EXAMPLE_WEIGHT, at })), ...sure]
}

function taskData(
  rows: readonly LabelledText[],
  labelNames: readonly string[],
  ownModel?: Uint8Array,
  teaching: readonly LabelledText[] = [],
): TaskData<LabelledTexts> {
  const said = rows.filter(({ label }) => labelNames.includes(label))
  const known = said.length > 0 ? [...teaching, ...said] : []
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
    rows: said.length,
    from: said.length > 0 ? new Date(Math.min(...ends(said))) : null,
    to: said.length > 0 ? new Date(Math.max(...ends(said))) : null,
    keys: NO_KEYS,
  }
}

/** First and last time. */
function ends(rows: readonly LabelledText[]): [number, number] {
  return rows.reduce<[number, number]>(
    ([first, last], { at }) => [Math.min(first, at.getTime()), Math.max(last, at.getTime())],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  )
}
