import { accuracy, ece, logLoss, macroF1 } from '../evaluate/classification.js'
import { createRandom, fnv1a } from '../math/random.js'
import { type FindRequest, findingsOf, type ReadRequest, readText, type TextFindings, type TextReading } from './analysis.js'
import { best, type LabelledTexts, type TextAlgorithm, type TextClassifier } from './classifier.js'
import { intentRules } from './intents.js'
import { lexicon } from './lexicon.js'
import { linearBlend, linearSvm, nbLogistic, textBlend, tfidfLogistic } from './linear-classifiers.js'
import { detectSpikes, type MentionCounts, type OpinionOptions, type OpinionSpike } from './opinion.js'
import { ownModel, unpackFiles } from './own-model.js'
import { PhrasingIndex, type Phrasings, shopRetrieval } from './retrieval.js'

export { mineTerms } from './analysis.js'
export { keepPhrasings } from './kept-phrasings.js'
export { drivingTerms } from './keywords.js'
export { clusterQuestions } from './questions.js'

/** Sentiment; the first is the baseline. */
export const sentimentAlgorithms: readonly TextAlgorithm[] = [lexicon, textBlend, nbLogistic, tfidfLogistic, linearSvm]

/** Intent of messages, and any labels of the customer's own; the first is the baseline. */
export const intentAlgorithms: readonly TextAlgorithm[] = [intentRules, linearBlend, tfidfLogistic, linearSvm, nbLogistic]

/** Every judge of texts there is. A new one is one file and its name here. */
export const algorithms: readonly TextAlgorithm[] = [lexicon, intentRules, linearBlend, tfidfLogistic, linearSvm, nbLogistic, textBlend]

export interface FitRequest {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: LabelledTexts
}

const TEST_SHARE = 0.2
const FOLDS = 10

/** Labels of so many texts are to be learned and to be tested. */
const FEWEST_OF_LABEL = 10

/**
 * The later fifth by time where times are known, if half of it is new and no common label is missing on a side (labels that are given in one sitting lie together); else two folds of the split hash.
 * The same text never stands on both sides. Rows of a weight below 1 only teach.
 */
export function split(data: LabelledTexts): { train: LabelledTexts; test: LabelledTexts } {
  const isSaid = (row: number) => (data.weights?.[row] ?? 1) >= 1
  const rows = data.texts.map((_, row) => row)
  const said = rows.filter(isSaid)
  const test = (data.times && laterFifth(data, said, data.times)) ?? said.filter(row => fnv1a(data.texts[row]) % FOLDS < FOLDS * TEST_SHARE)
  const tested = new Set(test.map(row => data.texts[row]))
  return {
    train: chosen(
      data,
      rows.filter(row => !tested.has(data.texts[row])),
    ),
    test: chosen(data, test),
  }
}

/** The texts of the later fifth that are new; undefined where they would test little of what is to be learned. */
function laterFifth({ texts, labels, labelNames }: LabelledTexts, said: readonly number[], times: Float64Array): number[] | undefined {
  const order = [...said].sort((a, b) => times[a] - times[b] || a - b)
  const train = order.slice(0, Math.floor(order.length * (1 - TEST_SHARE)))
  const later = order.slice(train.length)
  const known = new Set(train.map(row => texts[row]))
  const test = later.filter(row => !known.has(texts[row]))
  const countsOf = (rows: readonly number[]) => {
    const counts = new Int32Array(labelNames.length)
    for (const row of rows) counts[labels[row]]++
    return counts
  }
  const [all, learned, tested] = [countsOf(said), countsOf(train), countsOf(test)]
  const isMissing = labelNames.some((_, label) => all[label] >= FEWEST_OF_LABEL && (learned[label] === 0 || tested[label] === 0))
  return 2 * test.length < later.length || isMissing ? undefined : test
}

/** accuracy, macroF1, logLoss and ece (of the positive label of two, of the chosen one of more), and the accuracy of always saying the commonest. */
export function evaluate(model: TextClassifier, test: LabelledTexts): Record<string, number> {
  return judged(
    test.texts.map(text => model.classify(text)),
    test,
  )
}

/** The same of probabilities that are known already, one array a text. */
export function judged(probabilities: readonly Float64Array[], test: LabelledTexts): Record<string, number> {
  const predicted = Int32Array.from(probabilities, each => best(each).label)
  const isBinary = test.labelNames.length === 2
  const confidence = Float64Array.from(probabilities, (each, row) => (isBinary ? each[1] : each[predicted[row]]))
  const hits = Float64Array.from(test.labels, (label, row) => Number(isBinary ? label === 1 : label === predicted[row]))
  const counts = new Float64Array(Math.max(1, test.labelNames.length))
  for (const label of test.labels) counts[label]++
  const ofLabel = Float64Array.from(probabilities, (each, row) => each[test.labels[row]])
  return {
    accuracy: accuracy(test.labels, predicted),
    macroF1: macroF1(test.labels, predicted),
    logLoss: logLoss(new Float64Array(ofLabel.length).fill(1), ofLabel),
    ece: ece(hits, confidence),
    majority: Math.max(...counts) / Math.max(1, test.labels.length),
    texts: test.texts.length,
  }
}

export function fitAndEvaluate(request: FitRequest): { metrics: Record<string, number> } {
  const { train, test } = split(request.data)
  return { metrics: evaluate(learned({ ...request, data: train }), test) }
}

export function fitAll(request: FitRequest): { artifact: Uint8Array } {
  return { artifact: learned(request).save() }
}

export interface ScoreRequest {
  algorithm: string
  artifact: Uint8Array
  texts: readonly string[]
}

const loaded = new Map<string, { artifact: Uint8Array; model: TextClassifier }>()

/** The last model of a kind stays loaded. */
function kept(kind: string, algorithm: string, artifact: Uint8Array): TextClassifier {
  const last = loaded.get(kind)
  if (last && Buffer.compare(last.artifact, artifact) === 0) return last.model
  const model = named(algorithm).load(artifact)
  loaded.set(kind, { artifact, model })
  return model
}

/** Reads many texts for everything that is stored of them; for worker threads. */
export function readTexts({ texts, hints, ...request }: ReadRequest): { readings: TextReading[] } {
  const judges = judgesOf(request)
  return { readings: texts.map((text, at) => readText(text, judges, hints[at])) }
}

/** All that can be said of one text; for worker threads. */
export function findIn({ text, hints, ...request }: FindRequest): TextFindings {
  return findingsOf(text, judgesOf(request), hints)
}

function judgesOf({ sentiment, intent }: Pick<ReadRequest, 'sentiment' | 'intent'>) {
  return {
    sentiment: kept('sentiment', sentiment.algorithm, sentiment.artifact),
    intent: kept('intent', intent.algorithm, intent.artifact),
  }
}

/** An index of phrasings; for worker threads. */
export function buildPhrasings({ data, maximumError }: { data: Phrasings; maximumError: number }) {
  const index = PhrasingIndex.build(data, shopRetrieval, maximumError)
  const { threshold, isJudged } = index
  return { artifact: index.save(), threshold, isJudged }
}

/** The spikes of many series, in their order; for worker threads. */
export function findSpikes({ series, options }: { series: readonly MentionCounts[]; options: OpinionOptions }): OpinionSpike[][] {
  return series.map(each => detectSpikes(each, options))
}

/** Probabilities of many texts, label by label within a text; for worker threads. */
export function scoreTexts({ algorithm, artifact, texts }: ScoreRequest): { labels: readonly string[]; probabilities: Float64Array } {
  const model = kept('scored', algorithm, artifact)
  const out = new Float64Array(texts.length * model.labels.length)
  texts.forEach((text, at) => {
    out.set(model.classify(text), at * model.labels.length)
  })
  return { labels: model.labels, probabilities: out }
}

function learned({ algorithm, params, seed, data }: FitRequest): TextClassifier {
  return named(algorithm).fit(data, params, createRandom(seed).fork(algorithm))
}

/**
 * Whether files of somebody's own model can judge these labels; for worker threads, so that bad bytes cost no server. Throws a `RangeError` that names
 * the file at fault.
 */
export function tryOwnModel(files: Uint8Array, labelNames: readonly string[]): { labels: number } {
  const { labels } = ownModel.fit(
    {
      ownModel: files,
      texts: labelNames.map(name => `a text of ${name}`),
      labels: Int32Array.from(labelNames.keys()),
      labelNames,
    } as LabelledTexts,
    {},
    createRandom(1),
  )
  return { labels: unpackFiles(files).labels?.length ?? labels.length }
}

function named(name: string): TextAlgorithm {
  if (name === ownModel.name) return ownModel
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no text classifier "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
  return algorithm
}

function chosen(data: LabelledTexts, rows: readonly number[]): LabelledTexts {
  const { texts, labels, weights, times } = data
  return {
    ...data,
    texts: rows.map(row => texts[row]),
    labels: Int32Array.from(rows, row => labels[row]),
    ...(weights ? { weights: Float32Array.from(rows, row => weights[row]) } : {}),
    ...(times ? { times: Float64Array.from(rows, row => times[row]) } : {}),
  }
}
