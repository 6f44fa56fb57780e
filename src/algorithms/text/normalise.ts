import simplifications from 'opencc-js/dict/TSCharacters'

const LONGEST_RUN = 3
const SPACE = 32
const DROPPED = 0

let table: Uint16Array | undefined

/**
 * The form of a text that all of language understands alike: full-width → half-width, traditional → simplified characters, lower case; zero-width,
 * direction and control marks, variation selectors and skin tones gone; white space one blank, none beside a Chinese character; no sign or letter more
 * than three times in a row ("soooooo" → "sooo"). HTML stays the text that it is. Works in O(length); lone surrogates become U+FFFD.
 */
export function normalise(text: string): string {
  table ??= tableOf()
  if (isNormal(text, table)) return text
  const out = new Uint16Array(text.length)
  let length = 0
  let run = 0
  let isBlankDue = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 0xd800 && code < 0xe000) {
      const next = text.charCodeAt(at + 1)
      const isPair = code < 0xdc00 && next >= 0xdc00 && next < 0xe000
      if (!isPair) {
        out[length++] = 0xfffd
        continue
      }
      at++
      if (code === 0xd83c && next >= 0xdffb && next <= 0xdfff) continue
      const repeats = length >= 2 && out[length - 2] === code && out[length - 1] === next
      run = repeats ? run + 1 : 1
      if (run > LONGEST_RUN) continue
      if (isBlankDue && length > 0) out[length++] = SPACE
      isBlankDue = false
      out[length++] = code
      out[length++] = next
      continue
    }
    const unit = table[code]
    if (unit === DROPPED) continue
    if (unit === SPACE) {
      isBlankDue = true
      run = 0
      continue
    }
    if (isBlankDue) {
      isBlankDue = false
      if (length > 0 && !isHan(unit) && !isHan(out[length - 1])) out[length++] = SPACE
    }
    run = length > 0 && out[length - 1] === unit && run > 0 ? run + 1 : 1
    // Digits may repeat as they like: 10000 is no way of saying 100.
    if (run > LONGEST_RUN && !(unit >= 48 && unit <= 57)) continue
    out[length++] = unit
  }
  return textOf(out, length)
}

/** A CJK ideograph or a sign of Chinese punctuation. */
export function isHan(unit: number): boolean {
  return (unit >= 0x4e00 && unit <= 0x9fff) || (unit >= 0x3400 && unit <= 0x4dbf) || (unit >= 0x3001 && unit <= 0x3020)
}

function isNormal(text: string, units: Uint16Array): boolean {
  let [before, twice, thrice] = [SPACE, -1, -1]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (units[code] !== code || (code >= 0xd800 && code < 0xe000)) return false
    if (code === SPACE && (before === SPACE || isHan(before) || at + 1 === text.length)) return false
    if (before === SPACE && at > 0 && isHan(code)) return false
    if (code === before && code === twice && code === thrice) return false
    thrice = twice
    twice = before
    before = code
  }
  return true
}

/** What each UTF-16 unit becomes; 0 drops it. */
function tableOf(): Uint16Array {
  const units = new Uint16Array(0x10000)
  for (let code = 0; code < 0x10000; code++) {
    const lower = code >= 0xd800 && code < 0xe000 ? '' : String.fromCharCode(code).toLowerCase()
    units[code] = lower.length === 1 ? lower.charCodeAt(0) : code
  }
  for (const pair of simplifications.split('|')) {
    const [traditional, simplified] = pair.split(' ')
    if (traditional.length === 1 && simplified?.length === 1) units[traditional.charCodeAt(0)] = simplified.charCodeAt(0)
  }
  for (let code = 0xff01; code <= 0xff5e; code++) units[code] = units[code - 0xfee0]
  const map = (from: number, to: number, unit: number) => units.fill(unit, from, to + 1)
  map(0, 0x1f, DROPPED)
  for (const white of [9, 10, 11, 12, 13, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]) units[white] = SPACE
  map(0x2000, 0x200a, SPACE)
  map(0x7f, 0x84, DROPPED)
  map(0x86, 0x9f, DROPPED)
  // Soft hyphen, combining grapheme joiner, Arabic letter mark, zero-width and direction marks, isolates, byte order mark, variation selectors.
  for (const mark of [0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180e, 0x3164, 0xfeff, 0xffa0]) units[mark] = DROPPED
  map(0x200b, 0x200f, DROPPED)
  map(0x202a, 0x202e, DROPPED)
  map(0x2060, 0x206f, DROPPED)
  map(0xfe00, 0xfe0f, DROPPED)
  map(0xfff9, 0xfffb, DROPPED)
  for (const [quote, plain] of ["’'", "‘'", "´'", "`'", '“"', '”"', '—-', '–-']) units[quote.charCodeAt(0)] = plain.charCodeAt(0)
  return units
}

const CHUNK = 8_192

function textOf(units: Uint16Array, length: number): string {
  if (length <= CHUNK) return String.fromCharCode.apply(null, units.subarray(0, length) as unknown as number[])
  const parts: string[] = []
  for (let from = 0; from < length; from += CHUNK) {
    const part = units.subarray(from, Math.min(length, from + CHUNK))
    parts.push(String.fromCharCode.apply(null, part as unknown as number[]))
  }
  return parts.join('')
}
