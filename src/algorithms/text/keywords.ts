import { normalise } from './normalise.js'
import { isStopword, isWord, stemOf, wordsOf } from './tokens.js'

export interface Keyword {
  word: string
  weight: number
}

/**
 * What a text is about: its runs of content words (RAKE, Rose et al. 2010), each word weighted by how often it stands beside others, times its rarity
 * where `rarity` (by stem) is known. At most `limit`, strongest first.
 */
export function keywordsOf(text: string, limit = 8, rarity?: (stem: string) => number): Keyword[] {
  const words = wordsOf(normalise(text).slice(0, 20_000))
  const runs: string[][] = []
  let run: string[] = []
  for (const word of words) {
    const isContent = isWord(word) && !isStopword(word) && !/^\d+$/.test(word) && (word.length > 1 || /[\u4e00-\u9fff]/.test(word))
    if (isContent && run.length < 3) run.push(word)
    else {
      if (run.length > 0) runs.push(run)
      run = isContent ? [word] : []
    }
  }
  if (run.length > 0) runs.push(run)
  const [counts, degrees] = [new Map<string, number>(), new Map<string, number>()]
  for (const each of runs) {
    for (const word of each) {
      const stem = stemOf(word)
      counts.set(stem, (counts.get(stem) ?? 0) + 1)
      degrees.set(stem, (degrees.get(stem) ?? 0) + each.length)
    }
  }
  const weightOf = (word: string) => {
    const stem = stemOf(word)
    const count = counts.get(stem) ?? 1
    return ((degrees.get(stem) ?? 1) / count) * (1 + Math.log(count)) * (rarity?.(stem) ?? 1)
  }
  const found = new Map<string, Keyword>()
  for (const each of runs) {
    const isHan = /[\u4e00-\u9fff]/.test(each[0])
    const word = each.join(isHan ? '' : ' ')
    const key = each.map(stemOf).join(' ')
    const weight = each.reduce((sum, part) => sum + weightOf(part), 0) / Math.sqrt(each.length)
    if (!found.has(key)) found.set(key, { word, weight })
  }
  return [...found.values()].sort((a, b) => b.weight - a.weight || (a.word < b.word ? -1 : 1)).slice(0, limit)
}

/**
 * Terms that set `now` apart from `before`: log-odds ratio with an informative Dirichlet prior, as z-scores (Monroe, Colaresi and Quinn 2008). Each
 * text counts a term once, so that one long or repeated text cannot make a trend.
 */
export function drivingTerms(now: readonly string[], before: readonly string[], limit = 8): Keyword[] {
  const shown = new Map<string, string>()
  const countOf = (texts: readonly string[]) => {
    const counts = new Map<string, number>()
    let total = 0
    for (const text of texts) {
      const own = new Set<string>()
      let last = ''
      for (const word of wordsOf(normalise(text).slice(0, 5_000))) {
        if (!isWord(word) || isStopword(word) || /^\d+$/.test(word)) {
          last = ''
          continue
        }
        const stem = stemOf(word)
        if (!shown.has(stem)) shown.set(stem, word)
        own.add(stem)
        if (last) {
          const pair = `${stemOf(last)} ${stem}`
          if (!shown.has(pair)) shown.set(pair, /[\u4e00-\u9fff]/.test(word) ? `${last}${word}` : `${last} ${word}`)
          own.add(pair)
        }
        last = word
      }
      for (const term of own) counts.set(term, (counts.get(term) ?? 0) + 1)
      total += own.size
    }
    return { counts, total }
  }
  const [present, past] = [countOf(now), countOf(before)]
  const strength = 50
  const all = present.total + past.total
  const terms: Keyword[] = []
  for (const [term, count] of present.counts) {
    if (count < 2 && now.length > 3) continue
    const earlier = past.counts.get(term) ?? 0
    const prior = (strength * (count + earlier)) / Math.max(1, all)
    const a = Math.log((count + prior) / (present.total + strength - count - prior))
    const b = Math.log((earlier + prior) / Math.max(prior, past.total + strength - earlier - prior))
    const weight = (a - b) / Math.sqrt(1 / (count + prior) + 1 / (earlier + prior))
    if (weight > 0) terms.push({ word: shown.get(term) ?? term, weight })
  }
  terms.sort((x, y) => y.weight - x.weight || (x.word < y.word ? -1 : 1))
  // A pair says what its parts say: who is listed first stays.
  const kept: Keyword[] = []
  for (const term of terms) {
    if (kept.length >= limit) break
    if (!kept.some(({ word }) => word.includes(term.word) || term.word.includes(word))) kept.push(term)
  }
  return kept
}
