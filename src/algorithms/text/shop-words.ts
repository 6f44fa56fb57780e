import type { Ngrams } from './ngrams.js'
import { WORDS } from './ngrams.js'
import { isHan } from './normalise.js'
import { meantAmong } from './slips.js'
import { isStopword, isWord, wordsOf } from './tokens.js'

/** What customers of a shop mean by different words, in English and in Chinese. */
const CONCEPTS: readonly (readonly [english: RegExp, chinese: RegExp])[] = [
  [/\b(?:parcels?|packages?|shipments?|couriers?|deliver(?:y|ies))\b/, /快递|包裹|物流|运单|单号/],
  [/\b(?:arriv\w*|track\w*|delayed|not (?:here|come)|on its way)\b/, /到哪|送到|收到货|几天到|多久到|什么时候到|没到|还没收到/],
  [/\b(?:dispatch\w*|sent out|shipped yet)\b/, /发货|出货|寄出/],
  [/\b(?:refund\w*|money back|my money|reimburs\w*)\b/, /退款|退钱|钱.{0,4}退|退.{0,3}钱/],
  [/\b(?:return\w*|(?:send|give|bring)\b.{0,16}\bback)\b/, /退货|退回|想退|以退|能退|退换/],
  [
    /\b(?:broken?|defect\w*|damaged?|faulty|cracked|(?:not|n't|doesnt|dont|stopped) work\w*)\b/,
    /坏|破|碎|损坏|不能用|用不了|质量问题|瑕疵/,
  ],
  [/\b(?:ship|ships|shipping|deliver|delivery|postage)\b/, /运费|邮费|包邮|快递费|配送|寄/],
  [/\b(?:costs?|price|fees?|charges?|how much|free)\b/, /运费|邮费|多少钱|包邮|费用|收费/],
  [/\b(?:pay|paying|payments?|paypal|cards?|visa|mastercard|alipay|wechat)\b/, /支付|付款|付钱|微信|支付宝|银行卡|信用卡/],
  [/\b(?:cancel\w*|(?:not|n't|dont) want it)\b/, /取消|不想要|不要了/],
  [/\b(?:warrant\w*|guarantee\w*)\b/, /保修|质保/],
  [/\b(?:vouchers?|coupons?|promo\w*|discount codes?)\b/, /优惠券|优惠码|折扣码|代金券|红包/],
  [/\b(?:sizes?|too (?:small|big|large|tight))\b/, /尺码|码数|\d+码|大小|太大|太小/],
  [/\b(?:in stock|out of stock|restock\w*|sold out|available again)\b/, /补货|缺货|有货|上架|断货/],
  [/\b(?:address\w*|moved)\b/, /地址|搬家/],
  [/\b(?:passwords?|log ?in|login|sign in)\b/, /密码|登录|登不/],
  [/\b(?:delete|erase|remove|close)\b/, /注销|删除|销户/],
  [
    /\b(?:abroad|international\w*|overseas|countr(?:y|ies)|canada|germany|france|spain|italy|austria|switzerland|europe|usa|america|uk|australia|china|japan)\b/,
    /国外|国际|海外|加拿大|德国|美国|英国|日本|法国|澳大利亚/,
  ],
  [/\b(?:invoices?|receipts?|bills?)\b/, /发票|收据/],
  [/\b(?:shops?|stores?|opening hours|branch\w*)\b/, /实体店|门店|线下|开门|营业/],
  [/\b(?:change|edit|modify|update)\b/, /修改|更改|改/],
  [/\b(?:fresh|expir\w*|best before)\b/, /保质期|过期|新鲜|放多久/],
]
/** Private-use signs: a word of its own to every tokeniser, and in no text that people write. Each language has its own. */
const [FIRST_ENGLISH, FIRST_CHINESE] = [0xe100, 0xe200]

/** Words of the concepts whose slips of the pen are understood. */
const meantWord = meantAmong(
  'parcel package shipment courier delivery arrive arrived track tracking delayed refund return broken damaged defective shipping payment cancel warranty guarantee voucher coupon address password login delete remove invoice receipt'.split(
    ' ',
  ),
)
/** Words that are one letter from them and mean something else. */
const OTHER_WORDS = new Set(['shopping', 'cancer', 'truck', 'trick', 'trucks', 'crack', 'broker', 'shipping', 'trackers', 'tracks'])
const FEWEST_LETTERS = 5

/** A normalised text, and behind it one sign a concept that it speaks of. */
export function withConcepts(text: string): string {
  let hasHan = false
  for (let at = 0; at < text.length && !hasHan; at++) hasHan = isHan(text.charCodeAt(at))
  const read = hasHan ? text : text + meantWords(text)
  let signs = ''
  for (let at = 0; at < CONCEPTS.length; at++)
    if (CONCEPTS[at][Number(hasHan)].test(read)) signs += ` ${String.fromCharCode((hasHan ? FIRST_CHINESE : FIRST_ENGLISH) + at)}`
  return text + signs
}

/** What misspelt words of the list are meant to be. */
function meantWords(text: string): string {
  let meant = ''
  for (const [word] of text.matchAll(/[a-z]+/g)) {
    if (word.length < FEWEST_LETTERS || OTHER_WORDS.has(word)) continue
    const right = meantWord(word)
    if (right && right !== word) meant += ` ${right}`
  }
  return meant
}

const FUNCTION_WORDS = new Set(
  (
    'when where how what which who why can could will would shall should may might must please want need like get got let know tell any some ' +
    '什么时候 时候 怎么样 怎样 如何 多少 多久 哪里 哪儿 哪 哪些 啊 请问 想 要 能 有 没有 是 我 我的 你们 了 的 吗 么 请 帮 帮我 办 怎么办 一下 可 几'
  ).split(' '),
)

/** Whether a word tells what a question is about, and not how it is asked. */
function isTelling(word: string): boolean {
  return isWord(word) && !isStopword(word) && !FUNCTION_WORDS.has(word)
}

/** The words of a normalised question that tell what it is about; all of it where none does. */
export function tellingWords(text: string): string {
  return wordsOf(text).filter(isTelling).join(' ') || text
}

/** Words that make another question of the same words. */
const TURNING_WORDS = new Set(
  (
    "when where what which who why how long many much often not n't no never cannot without before after " +
    '什么时候 时候 多少 多久 哪里 哪儿 哪 哪些 没有 没 不 几 从 到 为什么 谁'
  ).split(' '),
)

/** The words of a normalised question that tell what it is about, and those that turn it (why, where, not); all words where none does. */
export function significantWords(text: string): string[] {
  const words = wordsOf(text).filter(isWord)
  const significant = words.filter(word => isTelling(word) || TURNING_WORDS.has(word))
  return significant.length > 0 ? significant : words
}

/** Of each n-gram that was read last, whether it lies in words that say how is asked and not what. */
export class FunctionTerms {
  private mask = new Uint8Array(256)

  read(ngrams: Ngrams) {
    const { text } = ngrams
    if (this.mask.length < text.length) this.mask = new Uint8Array(2 * text.length)
    this.mask.fill(1, 0, text.length)
    for (let at = ngrams.from[WORDS]; at < ngrams.from[WORDS + 1]; at++) {
      const word = text.slice(ngrams.starts[at], ngrams.ends[at])
      const code = word.charCodeAt(0)
      const isSign = code >= FIRST_ENGLISH && code < FIRST_CHINESE + CONCEPTS.length
      if (isSign || isTelling(word)) this.mask.fill(0, ngrams.starts[at], ngrams.ends[at])
    }
  }

  has(ngrams: Ngrams, at: number): boolean {
    for (let place = ngrams.starts[at]; place < ngrams.ends[at]; place++) if (this.mask[place] === 0) return false
    return true
  }
}
