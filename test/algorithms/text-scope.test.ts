import { expect, test } from '@jest/globals'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import type { LabelledTexts } from '../../src/algorithms/text/classifier.js'
import { intentAlgorithms } from '../../src/algorithms/text/index.js'
import { tfidfLogistic } from '../../src/algorithms/text/linear-classifiers.js'
import { type AskedTexts, ScopeJudge } from '../../src/algorithms/text/scope.js'

const subjects = ['refund my parcel', 'change the address', 'track an order', 'pay by card']
const foreign = ['what is the weather', 'who won the match', 'sing me a song', 'tell me a joke', 'book a table', 'cook some rice']
const fillers = 'please now today quickly hello thanks again really maybe tomorrow kindly soon'.split(' ')

/** Texts of four intents and of none, each with words that say nothing. */
function asked(count: number, seed: number, outsideShare: number): AskedTexts {
  const random = createRandom(seed)
  const rows = Array.from({ length: count }, () => {
    const label = random.next() < outsideShare ? -1 : random.below(subjects.length)
    const core = label < 0 ? foreign[random.below(foreign.length)] : subjects[label]
    return { label, text: `${fillers[random.below(12)]} ${core} ${fillers[random.below(12)]} ${fillers[random.below(12)]}` }
  })
  return { texts: rows.map(({ text }) => text), labels: Int32Array.from(rows, ({ label }) => label) }
}

const inside: LabelledTexts = { ...asked(200, 1, 0), labelNames: ['refund', 'address', 'track', 'pay'] }
const { judge, heldOut } = ScopeJudge.fit(tfidfLogistic, inside, asked(400, 2, 0.5), 0.05)

test('what is out of scope is told apart, and the answered questions keep the configured error', () => {
  const unseen = asked(600, 3, 0.5)
  const given = unseen.texts
    .map((text, at) => ({ ...judge.judge(text), truth: unseen.labels[at] }))
    .filter(each => each.confidence >= judge.threshold)
  expect(given.length).toBeGreaterThan(200)
  expect(given.filter(({ label, truth }) => label !== truth).length / given.length).toBeLessThanOrEqual(0.06)
})

test('confidence is a probability, also of what nobody would ask', () => {
  for (const text of ['', ' ', '?', '👍', '\u200f\u200b', '<script>alert(1)</script>', 'x'.repeat(200_000)]) {
    const { label, confidence } = judge.judge(text)
    expect(label).toBeGreaterThanOrEqual(0)
    expect(confidence).toBeGreaterThanOrEqual(0)
    expect(confidence).toBeLessThanOrEqual(1)
  }
  expect(heldOut.every(({ confidence }) => confidence >= 0 && confidence <= 1)).toBe(true)
})

test('what was saved answers exactly as what saved it; broken bytes are refused', () => {
  const artifact = judge.save()
  const loaded = ScopeJudge.load(artifact, intentAlgorithms)
  for (const text of asked(50, 4, 0.5).texts) expect(loaded.judge(text)).toEqual(judge.judge(text))
  expect(loaded.threshold).toBe(judge.threshold)
  expect(() => ScopeJudge.load(artifact.subarray(0, artifact.length - 100), intentAlgorithms)).toThrow(BrokenArtifact)
  expect(() => ScopeJudge.load(artifact, [])).toThrow('There is no text classifier "tfidf-logistic"')
})

test('without any asked text the classifier speaks for itself', () => {
  const alone = ScopeJudge.fit(tfidfLogistic, inside, { texts: [], labels: new Int32Array(0) }, 0.05)
  expect(alone.judge.judge('refund my parcel please')).toMatchObject({ label: 0 })
  expect(alone.judge.threshold).toBe(0.95)
  expect(alone.heldOut).toEqual([])
})

test('where no answer is ever right, nothing is answered', () => {
  const outside = asked(200, 5, 1)
  const silent = ScopeJudge.fit(tfidfLogistic, inside, outside, 0.05).judge
  for (const text of [...outside.texts, ...inside.texts.slice(0, 20)]) expect(silent.judge(text).confidence).toBeLessThan(silent.threshold)
})
