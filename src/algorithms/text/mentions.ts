import { isHan, normalise } from './normalise.js'

const PREFIX = 2
const LONGEST_TEXT = 20_000

/** Finds names (brands, titles) in texts: whole words of an alphabet, any place among Chinese characters; the longest name of those that are there. */
export class MentionIndex<Key> {
  private readonly byPrefix = new Map<string, { name: string; key: Key }[]>()

  /** Names of fewer than two characters name nothing. Of equal names the first counts. */
  constructor(names: Iterable<readonly [name: string, key: Key]>) {
    for (const [text, key] of names) {
      const name = normalise(text).trim()
      if (name.length < PREFIX) continue
      const list = this.byPrefix.get(name.slice(0, PREFIX)) ?? []
      this.byPrefix.set(name.slice(0, PREFIX), list)
      if (!list.some(each => each.name === name)) list.push({ name, key })
    }
    for (const list of this.byPrefix.values()) list.sort((a, b) => b.name.length - a.name.length || (a.name < b.name ? -1 : 1))
  }

  /** The longest name that the text holds, of equally long ones the one that stands first. */
  find(text: string): Key | undefined {
    const normal = normalise(text.slice(0, LONGEST_TEXT))
    let found: { name: string; key: Key } | undefined
    for (let at = 0; at + PREFIX <= normal.length; at++) {
      const names = this.byPrefix.get(normal.slice(at, at + PREFIX))
      if (!names) continue
      const here = names.find(({ name }) => normal.startsWith(name, at) && isWhole(normal, at, at + name.length))
      if (here && here.name.length > (found?.name.length ?? 0)) found = here
    }
    return found?.key
  }
}

function isWhole(text: string, from: number, to: number): boolean {
  return !joins(text, from) && !joins(text, to)
}

/** Whether a word goes on from one side of the place to the other. */
function joins(text: string, at: number): boolean {
  if (at <= 0 || at >= text.length) return false
  return isLetter(text, at - 1) && isLetter(text, at)
}

function isLetter(text: string, at: number): boolean {
  return !isHan(text.charCodeAt(at)) && /[\p{L}\p{N}]/u.test(text[at])
}
