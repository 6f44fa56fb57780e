import { pack, unpack } from '../artifact.js'
import { logit, sigmoid } from '../math/calibration.js'
import { decisions, denseRows, fitLinear } from '../math/linear.js'
import { createRandom, fnv1a } from '../math/random.js'
import { type Answered, thresholdFor, withOutOfScopeShare } from './abstention.js'
import { best, type LabelledTexts, type TextAlgorithm, type TextClassifier } from './classifier.js'
import { SHARED_FEATURES } from './linear-classifiers.js'
import { fitLinearText, type LinearTextModel, type LinearTextOptions, loadLinearText } from './linear-model.js'
import { normalise } from './normalise.js'
import { PhrasingIndex } from './retrieval.js'

/** Texts that the classifier did not learn from, with the label of each, −1 where none is right (out of scope). */
export interface AskedTexts {
  texts: readonly string[]
  labels: Int32Array
}

export interface ScopedChoice {
  label: number
  /** Probability that the label is right, a text without a right one counted as wrong. */
  confidence: number
}

const FORMAT = 'scope/2'
const SCOPE_FORMAT = 'scope-texts/1'
/** Uncalibrated: its score is evidence among others, which the regression on them weighs anyway. */
const SCOPE: LinearTextOptions = {
  features: SHARED_FEATURES,
  heads: [{ weighting: 'tfidf', loss: 'logistic', cost: 10, channels: [1, 1] }],
  calibrate: false,
}
const FOLDS = 5
/** Fewer texts of either kind teach nothing about scope. */
const FEWEST = 25

/**
 * A classifier that knows when to be silent: a second one learns from known texts against those that had no answer, and a logistic regression on both,
 * and on what retrieval finds, says how likely the first one's choice is right. Everything about `asked` is cross-fitted: no text judges itself.
 */
export class ScopeJudge {
  private constructor(
    private readonly algorithm: string,
    private readonly model: TextClassifier,
    private readonly index: PhrasingIndex,
    private readonly scope: LinearTextModel | undefined,
    private readonly means: Float64Array,
    private readonly deviations: Float64Array,
    private readonly weights: Float64Array,
    private readonly intercept: number,
    /** Be silent below it, for the configured error. */
    readonly threshold: number,
  ) {}

  get labels(): readonly string[] {
    return this.model.labels
  }

  /**
   * `heldOut` are the choices on `asked` by judges that had not seen them. With too few texts, right or wrong, to learn from, the classifier's own
   * probability is the confidence.
   */
  static fit(
    algorithm: TextAlgorithm,
    inside: LabelledTexts,
    asked: AskedTexts,
    maximumError: number,
    seed = 1,
  ): { judge: ScopeJudge; heldOut: ScopedChoice[] } {
    const random = createRandom(seed)
    const model = algorithm.fit(inside, {}, random.fork(algorithm.name))
    const index = PhrasingIndex.build({ entryCount: Math.max(1, inside.labelNames.length), texts: inside.texts, entries: inside.labels })
    const outside = asked.labels.reduce((count, label) => count + Number(label < 0), 0)
    const learnScope = (isUsed: (at: number) => boolean): LinearTextModel | undefined => {
      if (outside < FEWEST) return undefined
      const rows = Array.from(asked.labels.keys()).filter(isUsed)
      const texts = [...inside.texts, ...rows.map(at => asked.texts[at])]
      const labels = Int32Array.from([...inside.texts.map(() => 1), ...rows.map(at => Number(asked.labels[at] >= 0))])
      return fitLinearText(SCOPE_FORMAT, { texts, labels, labelNames: ['outside', 'inside'] }, SCOPE)
    }
    const folds = asked.texts.map(text => fnv1a(`scope|${normalise(text)}`) % FOLDS)
    const chosen: { label: number; evidence: number[] }[] = []
    for (let fold = 0; fold < FOLDS; fold++) {
      const scope = learnScope(at => folds[at] !== fold)
      asked.texts.forEach((text, at) => {
        if (folds[at] === fold) chosen[at] = evidenceOf(text, model, index, scope)
      })
    }
    const isRight = Int32Array.from(chosen, ({ label }, at) => Number(label === asked.labels[at]))
    const right = isRight.reduce((sum, each) => sum + each, 0)
    const width = EVIDENCE
    const [means, deviations] = [new Float64Array(width), new Float64Array(width).fill(1)]
    let weights = Float64Array.from({ length: width }, (_, at) => Number(at === 0))
    let intercept = 0
    const row = ({ evidence }: { evidence: number[] }) => evidence.map((value, at) => (value - means[at]) / deviations[at])
    if (right >= FEWEST && chosen.length - right >= FEWEST) {
      for (let at = 0; at < width; at++) {
        means[at] = chosen.reduce((sum, { evidence }) => sum + evidence[at], 0) / chosen.length
        deviations[at] = Math.sqrt(chosen.reduce((sum, { evidence }) => sum + (evidence[at] - means[at]) ** 2, 0) / chosen.length) || 1
      }
      const fitted = fitLinear(denseRows(Float64Array.from(chosen.flatMap(row)), width), isRight, 2, {
        loss: 'logistic',
        cost: 1,
        solver: 'newton',
        regulariseBias: false,
      })
      weights = Float64Array.from(fitted.weights)
      intercept = fitted.intercepts[0]
    }
    const z = decisions(
      { classCount: 2, columnCount: width, weights, intercepts: Float64Array.of(intercept), epochs: new Int32Array(1) },
      denseRows(Float64Array.from(chosen.flatMap(row)), width),
    )
    const heldOut = chosen.map(({ label }, at): ScopedChoice => ({ label, confidence: sigmoid(z[at]) }))
    const answered = heldOut.map(({ confidence }, at): Answered => ({ confidence, isRight: isRight[at] === 1 }))
    const threshold =
      chosen.length >= FEWEST
        ? thresholdFor(
            withOutOfScopeShare(answered, at => asked.labels[at] < 0),
            maximumError,
          )
        : 1 - maximumError
    const scope = learnScope(() => true)
    return { judge: new ScopeJudge(algorithm.name, model, index, scope, means, deviations, weights, intercept, threshold), heldOut }
  }

  judge(text: string): ScopedChoice {
    const { label, evidence } = evidenceOf(text, this.model, this.index, this.scope)
    let z = this.intercept
    evidence.forEach((value, at) => {
      z += (this.weights[at] * (value - this.means[at])) / this.deviations[at]
    })
    return { label, confidence: sigmoid(z) }
  }

  save(): Uint8Array {
    const { algorithm, intercept, threshold, means, deviations, weights } = this
    return pack(FORMAT, {
      // No threshold will do: JSON has no infinity.
      meta: { algorithm, intercept, threshold: Number.isFinite(threshold) ? threshold : null },
      arrays: {
        means,
        deviations,
        weights,
        model: this.model.save(),
        index: this.index.save(),
        ...(this.scope ? { scope: this.scope.save() } : {}),
      },
    })
  }

  /** `algorithms` is the list that the classifier's algorithm stands in. */
  static load(artifact: Uint8Array, algorithms: readonly TextAlgorithm[]): ScopeJudge {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const { algorithm: name, intercept, threshold } = meta as { algorithm: string; intercept: number; threshold: number | null }
    const algorithm = algorithms.find(each => each.name === name)
    if (!algorithm) throw new RangeError(`There is no text classifier "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
    return new ScopeJudge(
      name,
      algorithm.load(arrays.model as Uint8Array),
      PhrasingIndex.load(arrays.index as Uint8Array),
      arrays.scope ? loadLinearText(SCOPE_FORMAT, arrays.scope as Uint8Array) : undefined,
      arrays.means as Float64Array,
      arrays.deviations as Float64Array,
      arrays.weights as Float64Array,
      intercept,
      threshold ?? Number.POSITIVE_INFINITY,
    )
  }
}

const EVIDENCE = 7

/** The first choice, and what speaks for it: its log-odds, its score and lead, whether retrieval agrees and how well it matches, how much it is in scope. */
function evidenceOf(text: string, model: TextClassifier, index: PhrasingIndex, scope: LinearTextModel | undefined) {
  const probabilities = model.classify(text)
  const { label, confidence } = best(probabilities)
  const others = probabilities.slice()
  others[label] = Number.NEGATIVE_INFINITY
  const second = best(others).label
  const { score } = model.score(text, label)
  const lead = probabilities.length > 1 ? score - model.score(text, second).score : 0
  const found = index.search(text, 2)
  const inside = scope ? scope.score(text, 1).score : 0
  const own = logit(Math.max(1e-6, Math.min(1 - 1e-6, confidence)))
  return { label, evidence: [own, score, lead, Number(found.entries[0] === label), found.scores[0] ?? 0, found.confidence, inside] }
}
