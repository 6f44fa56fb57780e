import { normalise } from '../algorithms/text/normalise.js'
import { meantAmong } from '../algorithms/text/slips.js'

const LONGEST_READ = 500
/** No reply to an offer is longer. */
const LONGEST_REPLY = 60

const SOMEBODY =
  '(?:humans?|human beings?|persons?|people|agents?|operators?|representatives?|reps?|someone|somebody|anyone|anybody|staff|advis[eo]rs?|managers?|supervisors?|colleagues?|employees?|customer (?:service|support|care)|support(?: team)?|your team|help ?desk|service desk)'
const MACHINE = '(?:bots?|chat ?bots?|robots?|machines?)'
const REAL = '(?:real|actual|live|living|proper|human|physical)'

/** What says that a person is wanted, wherever it stands in a message. One pattern a language: each would cost a look through the message. */
const WANTED_EN = anyOf(
  new RegExp(`\\b(?:talk|talking|speak|speaking|chat|chatting|correspond)\\b.{0,12}\\b(?:to|with|w)\\b.{0,24}\\b${SOMEBODY}\\b`),
  /\b(?:talk|speak|speaking) (?:to|with) (?:a |an )?(?:man|woman|guy|lady)\b/,
  new RegExp(
    `\\b(?:connect|transfer|put|pass|hand|forward|refer|escalate|redirect|switch|get) (?:me|us|this|it|my \\w+)\\b.{0,24}\\b${SOMEBODY}\\b`,
  ),
  /\b(?:transfer|connect|switch|escalate|route) to (?:an? |the |your )?(?:humans?|persons?|agents?|operators?|representatives?|manager|supervisor|support|someone|somebody)\b/,
  /\b(?:put me through|transfer me|escalate (?:this|it|my \w+)|hand (?:me|this) over)\b/,
  new RegExp(
    `\\b(?:i|we) (?:just |only |really |still |urgently )*(?:want|need|prefer|demand|require|would (?:like|prefer)|'d (?:like|prefer))\\b(?: (?:to|help|have|get|see|be|contact|reach|from|by|assistance|it|served|helped))*(?: (?:a|an|the|some|any|your|real|actual|live|human))+ ?\\b${SOMEBODY}(?! (?:code|number|id|account|discount|price|size|tent|hair|card))\\b`,
  ),
  /\b(?:complain|talk|report (?:this|it)) to (?:an? |the |your )(?:managers?|supervisors?|boss)\b/,
  new RegExp(
    `\\b(?:give me|send me|get me|let me have|may i have|can i (?:have|get)|could i (?:have|get)|is there|are there)\\b(?: (?:a|an|the|some|any|your|real|actual|live|human))* ${SOMEBODY}\\W*(?:$|please\\b|now\\b|(?:there|here|available|around|online|i can|who can|that can|to (?:talk|speak|help))\\b)`,
  ),
  new RegExp(
    `\\b${REAL} (?:human|person|people|agent|operator|representative|advis[eo]r|support agent)(?! hair)\\b|\\bhuman (?:being|agent|operator|support|help|assistance|representative)\\b|\\b(?:some(?:one|body)|any(?:one|body)) real\\b`,
  ),
  /\b(?:can|could|may|will|would) (?:a|an|some|any|the) ?(?:human|agent|operator|real person|person) (?:please )?(?:help|answer|assist|call|contact|take over|look)\b/,
  /\bis (?:anyone|anybody|someone|somebody) (?:there|here|real|available|online)\b/,
  new RegExp(
    `(?:\\b(?:not|dont|cant|wont|hate|stop|sick of|tired of|rather than|instead of|no)|n't)\\b.{0,20}\\b(?:talk|speak|chat)\\w*\\b.{0,10}\\b(?:${MACHINE}|computers?|a\\.?i)\\b`,
  ),
  new RegExp(
    `^\\W*(?:(?:please|i want|i said) )?(?:no|not|stop)(?: with)? (?:more |a |another |this |the |your |these )?${MACHINE}\\b|(?:\\bdont|n't) (?:want|need|like) (?:a |an |any |another |this |your |to be (?:served|helped) by (?:a )?)?${MACHINE}\\W*$|\\b(?:sick|tired) of (?:this|these|your|the) (?:\\w+ )?${MACHINE}\\b`,
  ),
  /\b(?:(?:please|you|someone|somebody) call me(?: back)?|call me back|give me a call|phone me|ring me)\b|^\W*call me(?: please| now| asap)?\W*$|^\W*(?:please )?(?:can|could|will|would) (?:someone|somebody|anyone|anybody) (?:please )?help(?: me)?(?: please)?\W*$/,
  /\bren ?gong\b|\bzhen ?ren\b/,
)
const WANTED_ZH = anyOf(
  /人工(?!智能|智慧|草|皮|革|合成|费|成本|养|种植|降|呼吸|耳|湖|宝石|钻|水晶|甜味|香|色素)|真人(?!秀|版|比例|cs|实拍|拍摄|模特|发|头发|试穿|出镜)|活人|转(?:接)?(?:客服|专人|主管|经理|售后)/,
  /(?:找|要|叫|换|接|联系|请)(?:一?[个位下]|你们?的?|您的?|到|来){0,3}(?:客服|真人|专人|经理|主管|负责人|领导|老板|店长)/,
  /(?:不要|不想|别用?|讨厌|拒绝|关掉|不跟|不和).{0,6}(?:机器人|机器|ai|智能客服|自动回复)/,
  /(?:跟|和|与|找|让|换|转)(?:一?[个位]|真的?|你们的?|给我)*人(?:类)?(?:来)?(?:说话|说|聊|谈|对话|沟通|回答|回复|处理|解决|帮)|(?:找|换|转|来)(?:一?个)人(?:$|[\s\p{P}来跟和帮吧])/u,
  /有(?:没有)?(?:真)?人(?:在)?(?:吗|么|呢|能帮|可以帮|回复|管)|(?:客服|人)(?:在吗|在不在|呢|在哪)[\s\p{P}]*$|(?:给我|请).{0,2}(?:回电|回个?电话|打电话)|(?:打|回)个?电话给我/u,
  /转人[工宫公功供]|客服(?:的)?(?:电话|热线)|(?:想|要|能|可以|让我|帮我)(?:直接)?(?:跟|和|与|同)(?:你们的?|一?[个位])*(?:客服|经理|店长)(?:来)?(?:说|聊|谈|讲|沟通|反映|通话)/,
  /^[\s\p{P}]*(?:请|快|赶紧|给我|帮我|我|我要|我想|能不能|可以){0,3}(?:换|叫|找|派)(?:个|一个|位)?(?:人|活人|真人)(?:来|吧|啊|呀|过来|处理|解决)?[\s\p{P}]*$|机器人.{0,2}(?:滚|走开|闭嘴|退下)/u,
)
/** Things that are said of people who are not asked for, and of things that are not people. */
const NOT_MEANT =
  /\b(?:per person|in person|person(?:al|ality)|(?:third|another|other|different) (?:person|people)|(?:someone|somebody|anyone|anybody) else)\b/g

const ALONE =
  /^(?:(?:please|pls|plz|hi|hello|hey|ok(?:ay)?|no|a|an|the|any|some|real|live|actual|human|i said|want|need|to|now)\b[\s\p{P}]*)*(?:human|person|agent|operator|representative|rep|human being|someone|somebody|live chat|customer (?:service|support|care)|support|manager|supervisor|staff|客服)(?:[\s\p{P}]+(?:please|pls|plz|now|asap|here|there|thanks|thank you|agent|representative|person))*[\s\p{P}\p{S}]*$/u
/** Their slips of the pen are understood. */
const meantWord = meantAmong([
  'human',
  'person',
  'agent',
  'operator',
  'representative',
  'someone',
  'somebody',
  'speak',
  'talk',
  'supervisor',
  'customer',
  'service',
])
/** Words that are one letter from them and mean something else. */
const OTHER_WORDS = new Set([
  'humane',
  'persona',
  'persons',
  'humans',
  'agents',
  'agenda',
  'operate',
  'operators',
  'speaks',
  'peak',
  'sneak',
  'speaker',
  'tall',
  'tale',
  'talc',
  'task',
  'tank',
  'talks',
  'customers',
  'customs',
  'services',
])

/** Whether somebody asks for a person, in English or Chinese, also mistyped. That always works. */
export function asksForPerson(question: string): boolean {
  const text = corrected(normalise(question).slice(0, LONGEST_READ)).replace(NOT_MEANT, ' ')
  return ALONE.test(text) || WANTED_EN.test(text) || WANTED_ZH.test(text)
}

/** The text with the misspelt words of the list written right. */
function corrected(text: string): string {
  return text.replace(/(.)\1{2,}/gu, '$1').replace(/[a-z]{4,}/g, word => (OTHER_WORDS.has(word) ? word : (meantWord(word) ?? word)))
}

function anyOf(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => `(?:${source})`).join('|'), 'u')
}

const EDGE = '[\\s\\p{P}\\p{S}]*'
const whole = (words: string) => new RegExp(`^${EDGE}(?:${words})${EDGE}$`, 'u')
const place = (english: string, chinese: string) =>
  whole(
    `(?:(?:i (?:mean|meant|want|choose|pick|take)|option|number|answer|question|nr|no\\.|it'?s|the) ?)*(?:${english})(?: (?:one|option|question|answer))?(?: please)?|` +
      `我?(?:选|要|想问的?|问的?|说的)?是?第?(?:${chinese})(?:个|条|项|种|题|号)?(?:问题)?(?:吧|谢谢|啊|哦|的)?`,
  )
const PLACES: readonly RegExp[] = [
  place('1|one|first|1st|a|former', '一|1'),
  place('2|two|second|2nd|b', '二|2|两'),
  place('3|three|third|3rd|c', '三|3'),
]
const LAST = whole('(?:the )?(?:last|latter)(?: (?:one|option|question))?(?: please)?|(?:选|要|是)?最后(?:一|那)?个?|后者')

/** Place in a list of `count` that was offered, from 0, that an answer such as "the second" or 第一个 chooses; −1 for any other text. */
export function choiceIn(answer: string, count = PLACES.length): number {
  const text = normalise(answer)
  if (text.length > LONGEST_REPLY) return -1
  if (LAST.test(text)) return count - 1
  const at = PLACES.findIndex(pattern => pattern.test(text))
  return at < count ? at : -1
}

/** Whether a text goes on with what was said before ("and for shoes?", 那运费呢) rather than standing by itself. */
export function isFollowUp(question: string): boolean {
  const text = normalise(question)
  return (
    text.length <= LONGEST_REPLY &&
    /^(?:and|but|what about|how about|then|also|or)\b|\b(?:it|that|this|those|them|one)\b|^(?:那|还有|如果|它|这个|那个)|呢[\s\p{P}]*$/u.test(
      text,
    )
  )
}

/** Whether a text is so short that it may only say more of what was asked before. */
export function isShort(text: string): boolean {
  return normalise(text).length <= LONGEST_REPLY
}

const YES = whole(
  "(?:yes|yeah|yep|yup|sure|right|correct|exactly|that'?s (?:it|right|the one)|that one|this one)(?:[\\s\\p{P}]+(?:please|that'?s (?:it|right)|exactly|thanks|thank you))*|是的?|对的?|没错|嗯+|就是(?:这个|它)?|正是|这个",
)

/** Whether a text says yes and nothing else: it chooses where one thing was offered, and nothing where there were several. */
export function agrees(answer: string): boolean {
  return YES.test(normalise(answer))
}

const NO = whole(
  '(?:no|nope|nah)(?:[\\s\\p{P}]+(?:neither|none(?: of (?:these|them|those|the above))?|not (?:these|this|that|really)|something else))*|neither(?: (?:one|of (?:these|them|those)))?|none(?: of (?:these|them|those|the above|it))?|' +
    'not (?:these|those|this|that|really)|something else|(?:以上|这些)?都?(?:不是|不对|没有)(?:的|这些?个?|我要(?:的|问的))?|别的|其他的?',
)
const UNHELPFUL = whole(
  "(?:no[\\s\\p{P}]+|sorry[\\s\\p{P}]+|but )?(?:(?:that|this|it)(?:'s| is| was|s)? ?(?:no|not|n't|nt) (?:really |very |at all )?(?:help(?:ful)?|what i (?:asked|meant|mean|want|wanted|need|needed)(?: for)?|it|right|correct|my question|true|an answer)|" +
    "(?:that|this|it|you) (?:did|does|do|is|was)(?: not| ?n'?t) (?:really )?(?:help(?:ful)?(?: me)?|answer (?:my|the) question|work|understand(?: me)?|right|correct|it|what i (?:asked|meant|mean|want|need))|" +
    "(?:not|un) ?helpful|no help|wrong answer|(?:that|this)(?: is|'s) (?:wrong|useless)|useless)|" +
    '(?:这)?(?:没用|没有用|没帮助|没有帮助|没帮上忙|答非所问|答错了|不对|没(?:有)?解决(?:问题)?|没回答我的?问题)|不是(?:这个(?:意思|问题)|我(?:要|想)?问的)|(?:你)?没(?:听|看)懂',
)

/** Whether a text turns down what was offered, and says nothing else. */
export function refuses(answer: string): boolean {
  const text = normalise(answer)
  return text.length <= LONGEST_REPLY && (NO.test(text) || UNHELPFUL.test(text))
}

/** Whether a text says that an answer was of no use, and nothing else. */
export function complainsOfAnswer(reply: string): boolean {
  const text = normalise(reply)
  return text.length <= LONGEST_REPLY && UNHELPFUL.test(text)
}

const COURTESY =
  "hi+|hello|hey|good (?:morning|afternoon|evening|day)|(?:no )?thanks?(?: you| u)?(?: (?:so|very) much| a lot)?|thx|cheers|bye(?: ?bye)?|goodbye|ok(?:ay)?|great|perfect|there|that'?s all|[您你]们?好|哈喽|嗨|在吗|在么|早上好|早|下午好|晚上好|谢谢[你您]?|多谢|感谢|再见|拜拜|好的|好|知道了|明白了|没事了|不用了"
const GREETING = whole(`(?:${COURTESY})(?:[\\s\\p{P}\\p{S}啊呀了哦呢]*(?:${COURTESY}))*[啊呀了哦]?`)

/** Whether a text greets, thanks or takes leave and asks nothing. */
export function isGreeting(question: string): boolean {
  const text = normalise(question)
  return text.length <= LONGEST_REPLY && GREETING.test(text)
}
