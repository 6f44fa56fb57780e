import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { logit } from '../math/calibration.js'
import { type Contribution, classifier, type Scorer } from './classifier.js'
import { type Examples, type Fields, smoothedRate } from './examples.js'

const FORMAT = 'base-rate/1'

/**
 * How often it happens: the rate among all rows, or with `field` the rate of each of that field's words, drawn towards the overall one as if `strength`
 * more rows had it (the posterior mean of a Beta prior). The baseline of the family; learns from every batch.
 */
export const baseRate = classifier({
  name: 'base-rate',
  defaults: { field: '', strength: 100 },
  fit: (examples, params) => {
    const field = examples.fields.words.indexOf(String(params.field ?? ''))
    if (params.field && field < 0) throw new RangeError(`There is no field of words named ${params.field}`)
    return scorerOf(
      new Map(),
      { field, strength: parameter(params, baseRate.defaults, 'strength'), rate: smoothedRate(examples.labels) },
      examples,
    )
  },
  load: (artifact, fields) => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const [words, rows, positives] = [arrays.words, arrays.rows, arrays.positives]
    const counts = new Map(Array.from(words, (word, at) => [word, { rows: rows[at], positives: positives[at] }]))
    return scorerOf(counts, { field: Number(meta.field), strength: Number(meta.strength), rate: Number(meta.rate) }, undefined, fields)
  },
})

type Counts = Map<number, { rows: number; positives: number }>

function scorerOf(
  counts: Counts,
  { field, strength, rate }: { field: number; strength: number; rate: number },
  learned?: Examples,
  fields: Fields | undefined = learned?.fields,
): Scorer {
  const count = ({ rows, words, labels, fields: { words: names } }: Examples) => {
    for (let row = 0; row < rows && field >= 0; row++) {
      const word = words[row * names.length + field]
      const known = counts.get(word) ?? { rows: 0, positives: 0 }
      known.rows++
      known.positives += labels[row]
      counts.set(word, known)
    }
  }
  if (learned) count(learned)
  const bias = logit(rate)
  const scoreOf = ({ words, fields: { words: names } }: Examples, row: number) => {
    const known = field >= 0 ? counts.get(words[row * names.length + field]) : undefined
    return known ? logit((known.positives + strength * rate) / (known.rows + strength)) : bias
  }
  return {
    score: (examples, out) => {
      for (let row = 0; row < examples.rows; row++) out[row] = scoreOf(examples, row)
    },
    parts: (examples, row) => {
      const parts: Contribution[] = [{ kind: 'bias', fields: [], weight: bias }]
      if (field >= 0) parts.push({ kind: 'field', fields: [fields?.words[field] ?? ''], weight: scoreOf(examples, row) - bias })
      return parts
    },
    update: count,
    save: () =>
      pack(FORMAT, {
        meta: { field, strength, rate },
        arrays: {
          words: Uint32Array.from(counts.keys()),
          rows: Float64Array.from(counts.values(), ({ rows }) => rows),
          positives: Float64Array.from(counts.values(), ({ positives }) => positives),
        },
      }),
  }
}
