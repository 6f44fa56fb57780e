import { join } from 'node:path'
import { accuracy, auc } from '../../algorithms/evaluate/classification.js'
import { type Answered, areaUnderRiskCoverage, thresholdFor, withOutOfScopeShare } from '../../algorithms/text/abstention.js'
import { best, type LabelledTexts, type TextClassifier } from '../../algorithms/text/classifier.js'
import { intentAlgorithms } from '../../algorithms/text/index.js'
import { tfidfLogistic } from '../../algorithms/text/linear-classifiers.js'
import { PhrasingIndex } from '../../algorithms/text/retrieval.js'
import { ScopeJudge } from '../../algorithms/text/scope.js'
import { type Method, measured, type Protocol } from './protocol.js'
import { fitted, labelled, linePairs, linesIn, majority } from './texts.js'

const DATA = '../shared/data/banking77-oos'
/** Share of wrong answers that is asked for. */
const MAXIMUM_ERROR = 0.05
const COVERAGES = [50, 70, 80, 90, 100]

/** Texts of known labels, and of none (label −1: out of scope). */
export interface ScopedTexts {
  texts: readonly string[]
  labels: Int32Array
}

export interface ScopedTask {
  train: LabelledTexts
  /** For the threshold. */
  valid: ScopedTexts
  test: ScopedTexts
}

/** A first choice, and how sure it is. */
export interface Choice {
  label: number
  confidence: number
}

type Judge = (task: ScopedTask) => (text: string) => Choice

const byProbability =
  (model: TextClassifier) =>
  (text: string): Choice =>
    best(model.classify(text))

const learners = intentAlgorithms.slice(1)
/** The last model of each learner, which two of the judges may share. */
const learned = new Map<string, { train: LabelledTexts; model: TextClassifier }>()

function learnedOnce(name: string, train: LabelledTexts): TextClassifier {
  const known = learned.get(name)
  if (known?.train === train) return known.model
  const model = fitted(learners.find(each => each.name === name) ?? learners[0], train)
  learned.set(name, { train, model })
  return model
}

const judges: Readonly<Record<string, Judge>> = {
  majority: ({ train }) => byProbability(fitted(majority, train)),
  'linear-svm-margin': ({ train }) => {
    const model = learnedOnce('linear-svm', train)
    return text => {
      const { label } = best(model.classify(text))
      return { label, confidence: model.score(text, label).score }
    }
  },
  phrasings: ({ train, valid }) => {
    const entries = { entryCount: train.labelNames.length, texts: train.texts, entries: train.labels }
    const index = PhrasingIndex.build({ ...entries, asked: { texts: valid.texts, entries: valid.labels } }, {}, MAXIMUM_ERROR)
    return text => {
      const found = index.search(text, 2)
      return { label: found.entries[0] ?? -2, confidence: found.confidence }
    }
  },
  // Its choices on `valid` are those of judges that had not seen the text.
  'scope-judge': ({ train, valid }) => {
    const { judge, heldOut } = ScopeJudge.fit(tfidfLogistic, train, valid, MAXIMUM_ERROR)
    const known = new Map(valid.texts.map((text, at) => [text, heldOut[at]]))
    return text => known.get(text) ?? judge.judge(text)
  },
  ...Object.fromEntries(learners.map(({ name }): [string, Judge] => [name, ({ train }) => byProbability(learnedOnce(name, train))])),
}

const plainMethods = Object.entries(judges).map(([name, judge]) => ({
  name,
  run: (task: ScopedTask) => abstaining(task, judge(task)),
}))

const OUTSIDE = 'known to be out of scope'

/** Questions that are known to have no answer are learned as a label of their own; the threshold is chosen on halves that the judging model had not seen. */
const withKnownOutside: Method<ScopedTask> = {
  name: 'tfidf-logistic-known-outside',
  run: task => {
    const { train, valid } = task
    const outside = train.labelNames.length
    const learn = (isChosen: (at: number) => boolean) => {
      const rows = valid.texts.flatMap((_, at) => (isChosen(at) ? [at] : []))
      const algorithm = learners.find(({ name }) => name === 'tfidf-logistic') ?? learners[0]
      const model = fitted(algorithm, {
        texts: [...train.texts, ...rows.map(at => valid.texts[at])],
        labels: Int32Array.from([...train.labels, ...rows.map(at => (valid.labels[at] < 0 ? outside : valid.labels[at]))]),
        labelNames: [...train.labelNames, OUTSIDE],
      })
      return (text: string) => best(model.classify(text).subarray(0, outside))
    }
    const halves = [learn(at => at % 2 === 1), learn(at => at % 2 === 0)]
    const known = valid.texts.map((text, at) => halves[at % 2](text))
    return abstaining(
      task,
      learn(() => true),
      known,
    )
  },
}

export const scopedMethods: readonly Method<ScopedTask>[] = [...plainMethods, withKnownOutside]

/** Banking77 without some of its intents: those, and questions of another kind, should not be answered. */
export const abstention: Protocol = {
  name: 'abstention',
  about: 'Banking77-OOS: intents, and questions that none of them answers',
  run: function* ({ data = DATA, methods }) {
    const [train, valid, test] = labelled(linePairs(join(data, 'train')), linePairs(join(data, 'valid')), linePairs(join(data, 'test')))
    const outside = (set: string) =>
      ['id-oos', 'ood-oos'].flatMap(kind => linesIn(join(data, kind, set), 'seq.in').map(text => text.trim()))
    yield* measured(
      'abstention',
      scopedMethods,
      { train, valid: scoped(valid, outside('valid')), test: scoped(test, outside('test')) },
      methods,
    )
  },
}

export function scoped(inside: LabelledTexts, outside: readonly string[]): ScopedTexts {
  return { texts: [...inside.texts, ...outside], labels: Int32Array.from([...inside.labels, ...outside.map(() => -1)]) }
}

/** What a judge does that may be silent. Two thresholds are chosen on `valid`: the most right decisions, and the most answers at 5 % of error. */
export function abstaining(
  { valid, test }: ScopedTask,
  judge: (text: string) => Choice,
  known = valid.texts.map(judge),
): Record<string, number> {
  const asked = test.texts.map(judge)
  const answered = (choices: readonly Choice[], { labels }: ScopedTexts) =>
    choices.map(({ label, confidence }, at): Answered => ({ confidence, isRight: label === labels[at] }))
  const forDecisions = bestThreshold(known, valid)
  const forError = thresholdFor(
    withOutOfScopeShare(answered(known, valid), at => valid.labels[at] < 0),
    MAXIMUM_ERROR,
  )
  const results = answered(asked, test)
  const inside = asked.flatMap((choice, at) =>
    test.labels[at] >= 0 ? [{ ...choice, label: choice.confidence >= forDecisions ? choice.label : -1, truth: test.labels[at] }] : [],
  )
  const outside = asked.filter((_, at) => test.labels[at] < 0)
  const given = results.filter(({ confidence }) => confidence >= forError)
  const sorted = results.toSorted((a, b) => b.confidence - a.confidence)
  const rightAmong = (share: number) => {
    const taken = sorted.slice(0, Math.round((share / 100) * sorted.length))
    return taken.filter(({ isRight }) => isRight).length / Math.max(1, taken.length)
  }
  return {
    accuracy:
      asked.filter(({ label, confidence }, at) => (confidence >= forDecisions ? label : -1) === test.labels[at]).length / asked.length,
    inScopeAccuracy: accuracy(
      inside.map(({ truth }) => truth),
      inside.map(({ label }) => label),
    ),
    oosRecall: outside.length > 0 ? outside.filter(({ confidence }) => confidence < forDecisions).length / outside.length : 1,
    auroc:
      outside.length > 0
        ? auc(
            test.labels.map(label => Number(label >= 0)),
            asked.map(({ confidence }) => confidence),
          )
        : 1,
    areaUnderRiskCoverage: areaUnderRiskCoverage(results),
    ...Object.fromEntries(COVERAGES.map(share => [`accuracyAt${share}`, rightAmong(share)])),
    errorAt5: given.length > 0 ? given.filter(({ isRight }) => !isRight).length / given.length : 0,
    coverageAt5: given.length / results.length,
  }
}

/** The confidence from which on answering makes the most decisions right, silence towards what is out of scope counted as right. */
function bestThreshold(choices: readonly Choice[], { labels }: ScopedTexts): number {
  const order = choices.map((_, at) => at).sort((a, b) => choices[b].confidence - choices[a].confidence)
  let right = labels.filter(label => label < 0).length
  let [most, threshold] = [right, Number.POSITIVE_INFINITY]
  order.forEach((at, place) => {
    right += Number(choices[at].label === labels[at]) - Number(labels[at] < 0)
    const next = order[place + 1]
    const isTied = next !== undefined && choices[next].confidence === choices[at].confidence
    // Midway to the next one down: what comes will not fall exactly on what was seen.
    if (!isTied && right > most) [most, threshold] = [right, (choices[at].confidence + choices[next ?? at].confidence) / 2]
  })
  return threshold
}
