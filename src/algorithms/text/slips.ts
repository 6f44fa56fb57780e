/** Whether one letter is wrong, missing, too many, or two neighbours changed places; the first letter is right. */
export function isSlipOf(word: string, right: string): boolean {
  if (word[0] !== right[0] || Math.abs(word.length - right.length) > 1) return false
  let at = 1
  while (at < word.length && word[at] === right[at]) at++
  const [rest, wanted] = [word.slice(at), right.slice(at)]
  const isSwapped = rest[0] === wanted[1] && rest[1] === wanted[0] && rest.slice(2) === wanted.slice(2)
  return rest.slice(1) === wanted.slice(1) || rest.slice(1) === wanted || rest === wanted.slice(1) || isSwapped
}

/** Tells which of `words` a word is, or is a slip of: the first in their order. */
export function meantAmong(words: readonly string[]): (word: string) => string | undefined {
  const byLetter = new Map<string, string[]>()
  for (const right of words) byLetter.set(right[0], [...(byLetter.get(right[0]) ?? []), right])
  return word => byLetter.get(word[0])?.find(right => isSlipOf(word, right))
}
