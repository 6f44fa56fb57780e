import { type Params, parameter } from '../algorithm.js'
import type { TextAlgorithm } from './classifier.js'
import type { FeatureOptions } from './features.js'
import { fitLinearText, type HeadOptions, loadLinearText } from './linear-model.js'

/** Stems of English words alone and in pairs, jieba's words alone: pairs of those say what the characters say already. */
export const SHARED_FEATURES: FeatureOptions = {
  words: 2,
  hanWords: 1,
  stems: true,
  hanCharacters: 3,
  characters: 5,
  acrossWords: false,
  minimumTexts: 1,
  mostFeatures: 300_000,
}

/** Words 1–2 and characters (Chinese 1–3, others 2–5 inside words), tf-idf, logistic regression; one plane a label. */
export const tfidfLogistic = linear('tfidf-logistic', { cost: 20 }, ({ cost }) => [
  { weighting: 'tfidf', loss: 'logistic', cost, channels: [1, 1] },
])

/** The same features, L2-loss support vector machine. */
export const linearSvm = linear('linear-svm', { cost: 1 }, ({ cost }) => [
  { weighting: 'tfidf', loss: 'squared-hinge', cost, channels: [1, 1] },
])

/** Logistic regression on tf-idf times naive Bayes' log-count ratios (Wang and Manning 2012, there on binary counts). */
export const nbLogistic = linear('nb-logistic', { cost: 4 }, ({ cost }) => [{ weighting: 'nb', loss: 'logistic', cost, channels: [1, 1] }])

/** The support vector machine and the naive-Bayes-weighted regression, their log-odds added. */
export const textBlend = linear('text-blend', { cost: 4, svmCost: 0.5 }, ({ cost, svmCost }) => [
  { weighting: 'tfidf', loss: 'squared-hinge', cost: svmCost, channels: [1, 1] },
  { weighting: 'nb', loss: 'logistic', cost, channels: [1, 1] },
])

/** Support vector machine and logistic regression on tf-idf, their log-odds added. */
export const linearBlend = linear('linear-blend', { cost: 20, svmCost: 1 }, ({ cost, svmCost }) => [
  { weighting: 'tfidf', loss: 'squared-hinge', cost: svmCost, channels: [1, 1] },
  { weighting: 'tfidf', loss: 'logistic', cost, channels: [1, 1] },
])

function linear(name: string, own: Record<string, number>, headsOf: (costs: Record<string, number>) => HeadOptions[]): TextAlgorithm {
  const { stems, acrossWords, ...numbers } = SHARED_FEATURES
  const defaults: Params = { ...numbers, stems: Number(stems), acrossWords: Number(acrossWords), ...own }
  const format = `${name}/1`
  return {
    name,
    defaults,
    fit: (data, params) => {
      const value = (key: string) => parameter(params, defaults, key)
      const costs = Object.fromEntries(Object.keys(own).map(key => [key, value(key)]))
      return fitLinearText(format, data, {
        features: {
          words: value('words'),
          hanWords: value('hanWords'),
          stems: value('stems') !== 0,
          hanCharacters: value('hanCharacters'),
          characters: value('characters'),
          acrossWords: value('acrossWords') !== 0,
          minimumTexts: value('minimumTexts'),
          mostFeatures: value('mostFeatures'),
        },
        heads: headsOf(costs),
      })
    },
    load: artifact => loadLinearText(format, artifact),
  }
}
