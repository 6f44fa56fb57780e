import { pack, unpack } from '../artifact.js'
import { strongest, type Term, type TextAlgorithm, type TextClassifier } from './classifier.js'
import { OTHER } from './intent-examples.js'
import { normalise } from './normalise.js'

const FORMAT = 'intent-rules/1'

/** The intents that are known on the first day. */
export const INTENTS = ['buy', 'complain', 'ask', 'return', 'praise', 'leave'] as const

/** What in a normalised text speaks for an intent, and how much (log-odds). */
const rules: Readonly<Record<string, readonly (readonly [RegExp, number])[]>> = {
  buy: [
    [
      /\b(buy|purchase|order(?:ing)? (?:one|two|some|it|this)|add (?:it|this|to) .{0,12}(?:cart|basket)|check ?out|i(?:'ll| will) take|place an order|pre-?order)\b/g,
      2.2,
    ],
    [/\b(in stock|available|how much (?:is|are|for|does)|price|discount|coupon|deal)\b/g, 0.9],
    [/(想买|要买|购买|下单|拍下|买一|来一|要一|订购|我要了|怎么买|加购|入手)/g, 2.2],
    [/(有货|现货|多少钱|什么价|优惠|打折|包邮|便宜点)/g, 0.9],
  ],
  complain: [
    [
      /\b(complain|complaint|terrible|awful|worst|unacceptable|disappointed|disappointing|broken|defective|damaged|doesn't work|does not work|not working|never (?:arrived|came|answered)|ridiculous|scam|rubbish|garbage|angry|fed up|useless|poor quality)\b/g,
      2,
    ],
    [/\b(still (?:waiting|no)|wrong (?:item|size|colou?r|product)|missing|late|delayed|faulty|scratched|leaks?)\b/g, 1.4],
    [/(投诉|太差|很差|差评|垃圾|失望|骗人|骗子|坏了|破损|质量问题|不能用|没用|气死|什么玩意|态度(?:恶劣|差)|假货|坑人|离谱|难用|太慢)/g, 2],
    [/(还没(?:到|收到|发货)|没收到|发错|少发|漏发|一直不|没人(?:理|回)|不回复)/g, 1.6],
  ],
  ask: [
    [/\?/g, 1.2],
    [/^(how|what|when|where|which|who|why|can|could|do|does|is|are|will|would|may|should)\b/g, 1.2],
    [/\b(i(?:'d| would) like to know|tell me|wondering|question about|explain|information)\b/g, 1.6],
    [/(怎么|如何|什么时候|什么|多久|哪里|哪个|吗|呢|几点|能不能|可以.{0,6}吗|是否|为什么|请问|多少)/g, 1.1],
  ],
  return: [
    [/\b(returns?|returning|send (?:it|this|them) back|refund|money back|exchange|replacement|rma|cancel (?:my|the|this) order)\b/g, 2.6],
    [/(退货|退款|退钱|换货|退换|退掉|退了|想退|要退|能退|取消订单|返修|换一个)/g, 2.8],
  ],
  praise: [
    [
      /\b(love|great|excellent|perfect|amazing|awesome|fantastic|wonderful|brilliant|best|thank(?:s| you)|well done|very happy|highly recommend|good job|beautiful)\b/g,
      1.5,
    ],
    [/(谢谢|感谢|很好|非常好|太好了|喜欢|满意|棒|点赞|好评|推荐|不错|完美|很快|漂亮|给力|辛苦了)/g, 1.5],
    [/[👍❤😍🥰💕😊]/gu, 1.5],
  ],
  leave: [
    [
      /\b(unsubscribe|cancel (?:my )?(?:account|membership|subscription)|delete my (?:account|data)|close my account|stop (?:sending|emailing|messaging)|opt out|never (?:buy|order|shop|again)|leaving|switch(?:ing)? to|goodbye|bye)\b/g,
      2.6,
    ],
    [/(注销|退订|取消(?:会员|订阅)|删除.{0,4}(?:账号|账户|数据)|不再(?:买|来|用)|再也不|别再发|拉黑|换一家|卸载|再见|不用了)/g, 2.6],
  ],
}
const negative = /\b(not|n't|never|no)\b|不|没/
/** Log-odds that something is said at all: without a rule that applies, no label is likely. */
const PRIOR = 0.4

/** Rules for the intents of the first day, in English and Chinese: the baseline. Labels that it has no rule for are never its first choice. */
export const intentRules: TextAlgorithm = {
  name: 'intent-rules',
  defaults: {},
  fit: ({ labelNames }) => new IntentRules(labelNames.length > 0 ? [...labelNames] : [...INTENTS]),
  load: artifact => new IntentRules((unpack(FORMAT, artifact).meta as { labels: string[] }).labels),
}

/** How much a label counts before anything is said: the rules know nothing of a shop's own ones, and have no need of one for no intent. */
function standingOf(label: string): number {
  if (label === OTHER) return 0
  return rules[label.toLowerCase()] ? 1 : 0.5
}

class IntentRules implements TextClassifier {
  constructor(readonly labels: readonly string[]) {}

  classify(text: string): Float64Array {
    const scores = this.labels.map((_, label) => this.termsOf(text, label).reduce((sum, { weight }) => sum + weight, 0))
    const most = Math.max(PRIOR, ...scores)
    const weights = scores.map((score, label) => Math.exp(score - most) * standingOf(this.labels[label]))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return Float64Array.from(weights, weight => weight / total)
  }

  score(text: string, label: number): { score: number; base: number } {
    return { score: this.termsOf(text, label).reduce((sum, { weight }) => sum + weight, 0), base: 0 }
  }

  explain(text: string, label: number, limit?: number): Term[] {
    return strongest(this.termsOf(text, label), limit)
  }

  save(): Uint8Array {
    return pack(FORMAT, { meta: { labels: this.labels }, arrays: {} })
  }

  private termsOf(text: string, label: number): Term[] {
    const name = (this.labels[label] ?? '').toLowerCase()
    const normal = normalise(text).slice(0, 4_000)
    const terms = new Map<string, number>()
    for (const [pattern, weight] of rules[name] ?? []) {
      for (const match of normal.matchAll(pattern)) {
        // "not great" is no praise.
        const before = normal.slice(Math.max(0, match.index - 6), match.index)
        if (name === 'praise' && negative.test(before)) continue
        if (!terms.has(match[0])) terms.set(match[0], weight)
      }
    }
    return [...terms].map(([term, weight]) => ({ text: term, weight }))
  }
}
