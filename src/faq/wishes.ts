import { normalise } from '../algorithms/text/normalise.js'

const PERSON = [
  /\b(?:a|an|the|real|actual|live|any)\s+(?:human|person|people|agent|operator|representative|advisor|someone)\b/,
  /\b(?:talk|speak|chat|connect|transfer|put)\b.{0,24}\b(?:human|person|agent|operator|representative|someone|somebody|staff|advisor|people)\b/,
  /^\W*(?:human|person|agent|operator|representative|real person|customer service)\b.{0,12}$/,
  /人工(?:客服|服务|坐席)?|真人|活人|转接?客服|(?:找|要|叫|换|接|联系).{0,4}(?:客服|人工|经理|真人)/,
]
/** Things that are said of people who are not asked for. */
const NOT_MEANT = /\b(?:per person|in person|person(?:al|ality)|third person)\b/

/** Whether somebody asks for a person, in English or Chinese. That always works. */
export function asksForPerson(question: string): boolean {
  const text = normalise(question).slice(0, 500).replace(NOT_MEANT, ' ')
  return PERSON.some(pattern => pattern.test(text))
}

const PLACES: readonly RegExp[] = [
  /^\W*(?:1|one|first|the first(?: one)?|a|一|第一(?:个|条)?)\W*$/,
  /^\W*(?:2|two|second|the second(?: one)?|b|二|第二(?:个|条)?)\W*$/,
  /^\W*(?:3|three|third|the third(?: one)?|c|三|第三(?:个|条)?)\W*$/,
]

/** Place in a list that was offered, from 0, that an answer such as "the second" or 第一个 chooses; −1 for any other text. */
export function choiceIn(answer: string): number {
  const text = normalise(answer).slice(0, 60)
  return PLACES.findIndex(pattern => pattern.test(text))
}

/** Whether a text goes on with what was said before ("and for shoes?", 那运费呢) rather than standing by itself. */
export function isFollowUp(question: string): boolean {
  const text = normalise(question)
  return (
    text.length <= 60 &&
    /^(?:and|but|what about|how about|then|also|or)\b|\b(?:it|that|this|those|them|one)\b|^(?:那|还有|如果|它|这个|那个)|呢\W*$/.test(text)
  )
}

const YES = /^\W*(?:yes|yes please|yep|exactly|是|是的|对|对的|嗯)\W*$/

/** Whether a text says yes and nothing else: it chooses where one thing was offered, and nothing where there were several. */
export function agrees(answer: string): boolean {
  return YES.test(normalise(answer).slice(0, 60))
}

const GREETING =
  /^\W*(?:(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|thanks?(?: you)?(?: (?:so|very) much)?|thx|bye|goodbye|ok(?:ay)?)(?: there)?|您好|你好|哈喽|嗨|在吗|早上好|下午好|晚上好|谢谢[你您]?|多谢|感谢|再见|拜拜|好的)[\s!.,~！。，～]*$/

/** Whether a text greets, thanks or takes leave and asks nothing. */
export function isGreeting(question: string): boolean {
  return GREETING.test(normalise(question).slice(0, 60))
}
