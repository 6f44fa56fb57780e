import { type AspectMention, aspectsOf, mineAspects } from './aspects.js'
import { best, type Term, type TextClassifier } from './classifier.js'
import { keywordsOf } from './keywords.js'
import { detectLanguage } from './language.js'
import { normalise } from './normalise.js'

/** What two judges and the aspect lists make of one text. */
export interface TextReading {
  /** Index into the judge's labels, and its probability. */
  sentiment: { label: number; confidence: number; probabilities: Float64Array }
  intent: { label: number; confidence: number }
  aspects: AspectMention[]
  /** 64 bits of the normalised text; alike texts have the same. */
  fingerprint: bigint
  /** Whether there is a letter, a digit or a pictogram to read at all. */
  isReadable: boolean
  /** Length of the normalised text. */
  length: number
}

/** All that can be said of one text. */
export interface TextFindings {
  reading: TextReading
  language: ReturnType<typeof detectLanguage>
  /** What speaks for its sentiment. */
  terms: Term[]
  keywords: string[]
}

export interface AspectHints {
  category?: string
  mined?: readonly string[]
}

/** Whether there is a letter, a digit or a pictogram. */
export function isReadable(text: string): boolean {
  return /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(text)
}

/** Reads a text once for everything that is stored of it. Answers for every string. */
export function readText(
  text: string,
  judges: { sentiment: TextClassifier; intent: TextClassifier },
  hints: AspectHints = {},
): TextReading {
  const normal = normalise(text)
  const probabilities = judges.sentiment.classify(text)
  return {
    sentiment: { ...best(probabilities), probabilities },
    intent: best(judges.intent.classify(text)),
    aspects: aspectsOf(text, hints),
    fingerprint: fingerprintOf(normal),
    isReadable: isReadable(normal),
    length: normal.length,
  }
}

const MOST_TERMS = 10

export function findingsOf(text: string, judges: Parameters<typeof readText>[1], hints: AspectHints = {}): TextFindings {
  const reading = readText(text, judges, hints)
  return {
    reading,
    language: detectLanguage(text),
    terms: judges.sentiment.explain(text, reading.sentiment.label, MOST_TERMS),
    keywords: keywordsOf(text).map(({ word }) => word),
  }
}

/**
 * 64 bits of a normalised text as a signed integer, as databases have it: two multiplicative hashes in the manner of FNV-1a, of 32 bits each, over the
 * UTF-16 units. Blanks, signs and case do not count.
 */
export function fingerprintOf(normalText: string): bigint {
  let [low, high] = [0x84222325, 0xcbf29ce4]
  for (let at = 0; at < normalText.length; at++) {
    const unit = normalText.charCodeAt(at)
    if (unit < 48 || (unit > 57 && unit < 97) || (unit > 122 && unit < 128)) continue
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit ^ (low >>> 13), 0x85ebca6b)
  }
  return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
}

export interface ReadRequest {
  sentiment: { algorithm: string; artifact: Uint8Array }
  intent: { algorithm: string; artifact: Uint8Array }
  texts: readonly string[]
  hints: readonly AspectHints[]
}

export interface FindRequest extends Omit<ReadRequest, 'texts' | 'hints'> {
  text: string
  hints: AspectHints
}

export interface MineRequest {
  texts: readonly string[]
  limit: number
}

/** Aspects that a category's texts speak of; for worker threads. */
export function mineTerms({ texts, limit }: MineRequest): { terms: string[] } {
  return { terms: mineAspects(texts, { limit }).map(({ term }) => term) }
}
