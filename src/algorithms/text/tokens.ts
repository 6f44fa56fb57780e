import { Jieba } from '@node-rs/jieba'
import { dict } from '@node-rs/jieba/dict.js'
import stemmer from 'natural/lib/natural/stemmers/porter_stemmer.js'
import tokenizers from 'natural/lib/natural/tokenizers/regexp_tokenizer.js'
import stopwords from 'natural/lib/natural/util/stopwords.js'

/** Words as the Penn Treebank cuts them ("do n't", "it 's"), and each other sign by itself. */
const english = new tokenizers.RegexpTokenizer({
  pattern: /[\p{L}\p{M}]+?(?=n't\b)|n't\b|'(?:s|re|ve|d|ll|m)\b|[\p{L}\p{M}\p{N}]+|\p{Extended_Pictographic}|[^\s\p{L}\p{M}\p{N}]/gu,
  gaps: false,
})
const HAN = /[㐀-鿿]/
let jieba: Jieba | undefined

/** Words of a normalised text in their order, punctuation included, blanks not: jieba's where the text has Chinese characters, else natural's. */
export function wordsOf(text: string): string[] {
  if (!HAN.test(text)) return english.tokenize(text) ?? []
  jieba ??= Jieba.withDict(dict)
  return jieba.cut(text, true).filter(word => word !== ' ')
}

/** True for a word with a letter or a digit in it. */
export function isWord(token: string): boolean {
  return /[\p{L}\p{N}]/u.test(token)
}

const stems = new Map<string, string>()
const MOST_STEMS = 50_000

/** Porter's stem (1980) of an English word; other words as they are. */
export function stemOf(word: string): string {
  if (word.length < 3 || !/^[a-z]+$/.test(word)) return word
  const known = stems.get(word)
  if (known !== undefined) return known
  const stem = word.length > 40 ? word : stemmer.stem(word)
  // A memory, no state: forgotten as a whole when full.
  if (stems.size >= MOST_STEMS) stems.clear()
  stems.set(word, stem)
  return stem
}

const STOPWORDS = new Set([
  ...stopwords.words,
  ...(
    'i im am be been are is was were isn aren wasn weren do does did doing have has had having a an the and or but if of at by for with to from in out on ' +
    "off s t re ve d ll m n't it its this that these those my your our their his her me him them us we you they he she there here"
  ).split(' '),
  ...(
    '的 了 在 是 我 你 他 她 它 我们 你们 他们 有 和 与 及 就 都 而 也 还 又 这 那 这个 那个 这些 那些 一个 一 个 上 下 着 过 吧 呢 吗 啊 哦 呀 嘛 把 被 对 从 到 给 让 ' +
    '之 于 但 但是 因为 所以 如果 就是 还是 可以 没有 不 很 会 要 去 来 说 得 地 自己 什么 怎么 多 么 能 想 用 以 为 等 后 再'
  ).split(' '),
])

/** A word too common to say what a text is about. */
export function isStopword(word: string): boolean {
  return STOPWORDS.has(word)
}
