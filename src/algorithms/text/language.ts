export type Language = 'en' | 'zh' | 'other' | 'none'

export interface Detected {
  language: Language
  /** Share of the letters that speak for it, in [0, 1]; 0 for a text without letters. */
  confidence: number
}

const LONGEST = 4_000
const COMMON = new Set(
  (
    'the be to of and a in that have i it for not on with he as you do at this but his by from they we say her she or an will my one all would there their ' +
    'what so up out if about who get which go me when make can like no just him know take is are was were am been has had did does very good bad great ' +
    'please help how where why your our not nice love buy want need order return refund price quality product item card money time day'
  ).split(' '),
)
const FOREIGN = new Set(
  (
    'el la los las un una es en por para con que der die das und ist nicht ein eine zu mit le les des une est et dans pour il lo gli della che per ' +
    'ich sie wir auf von den dem muy pero como más está très avec mais sur bien não uma mas são foi het een niet van'
  ).split(' '),
)

/**
 * The language of a text by its scripts and, among Latin letters, its commonest words: English, Chinese, another one, or none (no letters). A Chinese
 * character counts as two letters, because it holds about as much. Looks at the first 4,000 units.
 */
export function detectLanguage(text: string): Detected {
  const sample = text.length > LONGEST ? text.slice(0, LONGEST) : text
  let [han, kana, latin, others] = [0, 0, 0, 0]
  let isWide = false
  for (const letter of sample) {
    const written = letter.codePointAt(0) as number
    const code = halfWidth(written)
    if (code !== written) isWide = true
    if ((code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)) latin++
    else if ((code >= 0x4e00 && code <= 0x9fff) || (code >= 0x3400 && code <= 0x4dbf) || (code >= 0x20000 && code <= 0x323af)) han += 2
    else if (code >= 0x3040 && code <= 0x30ff) kana += 2
    else if (code > 0x7f && /\p{L}/u.test(letter)) others++
  }
  const all = han + kana + latin + others
  if (all === 0) return { language: 'none', confidence: 0 }
  if (kana > 0.15 * (han + kana) && han + kana > latin) return { language: 'other', confidence: (han + kana) / all }
  if (others > all / 2) return { language: 'other', confidence: others / all }
  // Latin names and models stand in many a Chinese text; the other way round they hardly do.
  if (han >= 0.3 * all) return { language: 'zh', confidence: Math.min(1, han / all + 0.2) }
  const letters = isWide ? sample.normalize('NFKC') : sample
  const words = letters.toLowerCase().match(/\p{L}+/gu) ?? []
  const english = words.reduce((count, word) => count + Number(COMMON.has(word)), 0)
  const foreign = words.reduce((count, word) => count + Number(FOREIGN.has(word)), 0)
  const share = latin / all
  if (foreign > english) return { language: 'other', confidence: share * (foreign / (foreign + english)) }
  // Unaccented letters without any known word are English until shown otherwise, with little confidence.
  const evidence = (english + 0.5) / (english + foreign + 1)
  return { language: 'en', confidence: share * evidence }
}

/** Latin letters of full width are Latin letters. */
function halfWidth(code: number): number {
  return code >= 0xff21 && code <= 0xff5a ? code - 0xfee0 : code
}
