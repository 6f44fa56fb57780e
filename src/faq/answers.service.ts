import { detectLanguage } from '../algorithms/text/language.js'
import { sharedWords } from '../algorithms/text/retrieval.js'
import { encodeId } from '../graphql/node-id.js'
import type { Metrics } from '../platform/metrics.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import { v7 } from '../platform/uuid.js'
import { decisionRow } from '../registry/decisions.js'
import type { FaqRepository, NewQuestion, QuestionRow, ServedEntry } from './faq.repository.js'
import { FaqAnswer, type FaqAnswerArgs, FaqClarification, FaqEntryType, FaqHandOff } from './faq.schema.js'
import { type FaqIndex, type FaqSearch, languageOf } from './faq-index.js'
import { agrees, asksForPerson, choiceIn, complainsOfAnswer, isFollowUp, isGreeting, isShort, refuses } from './wishes.js'

const LONGEST_QUESTION = 2_000
/** A conversation is forgotten so long after its last message. */
export const CONVERSATION_MS = 30 * 60_000
/** So many messages before are looked at for what a new one goes on with. */
const MOST_CONTEXT = 4
const CANDIDATES = 3
/** A candidate is offered from this share of the best score on. */
const NEAR = 0.75
const CLARIFY_FROM = 0.5
/** From this share of the best score on the second one is as good, however good both are. */
const TIED = 0.95
const NOTHING = 0.1

type HandOffReason = 'PERSON_ASKED' | 'UNKNOWN' | 'UNSURE' | 'NOT_HELPFUL'

interface Asked {
  id: string
  text: string
  language: string | null
  channel: string | null
  conversationId: string | null
  /** Language in which the customer is spoken to. */
  speech: 'en' | 'zh'
  now: Date
}

/** Answers questions from approved entries, asks back when two are close, and hands over to a person rather than be wrong too often. */
export class AnswersService {
  constructor(
    private readonly parts: {
      index: FaqIndex
      repository: FaqRepository
      metrics: Pick<Metrics, 'model'>
      now?: () => Date
    },
  ) {}

  async answer(args: FaqAnswerArgs): Promise<FaqAnswer | FaqClarification | FaqHandOff> {
    const asked = this.read(args)
    if (asksForPerson(asked.text)) return this.handOff(asked, 'PERSON_ASKED', undefined)
    if (isGreeting(asked.text)) return this.greet(asked)
    const recent = asked.conversationId
      ? await this.parts.repository.recent(asked.conversationId, new Date(asked.now.getTime() - CONVERSATION_MS), MOST_CONTEXT)
      : []
    const [before] = recent
    if (before && turnsDown(asked.text, before)) return this.giveUp(asked, before)
    const chosen = before && this.chosen(asked, before)
    if (chosen)
      return this.give(asked, chosen, {
        confidence: 1,
        matchedTerms: sharedWords(asked.text, chosen.question),
        rule: 'The customer chose it of what was offered',
      })
    let search = await this.search(asked, asked.text)
    let text = asked.text
    if (before && !isSure(search) && saysMore(asked.text, before)) {
      const joined = `${contextOf(recent)} ${asked.text}`
      const together = await this.search(asked, joined)
      if (together.confidence > search.confidence) [search, text] = [together, joined]
    }
    const rule = text === asked.text ? [] : ['Read together with a message before it']
    const [first] = search.found
    if (!first || search.confidence < NOTHING * search.threshold) return this.handOff(asked, 'UNKNOWN', search, rule)
    const isTied =
      search.found.length > 1 && search.found[1].score >= TIED * first.score && search.found[1].entry.answer !== first.entry.answer
    if (isSure(search) && !isTied)
      return this.give(asked, first.entry, { confidence: search.confidence, matchedTerms: search.matchedTerms, search, rule: rule[0] })
    // Rather right than wrong, but for its rival perhaps: asking back helps where answering would err too often.
    if (search.aloneConfidence >= CLARIFY_FROM) return this.clarify(asked, search, rule)
    return this.handOff(asked, 'UNSURE', search, rule)
  }

  private read({ question, locale, conversationId, channel }: FaqAnswerArgs): Asked {
    const text = cleanText(question, { field: ['question'], max: LONGEST_QUESTION })
    const wanted = cleanOptionalText(locale, { field: ['locale'], max: 35 }) ?? null
    const language = wanted === null ? null : languageOf(wanted)
    const speech = (language ?? detectLanguage(text).language) === 'zh' ? 'zh' : 'en'
    return {
      id: v7(),
      text,
      language,
      speech,
      channel: cleanOptionalText(channel, { field: ['channel'], max: 60 }) ?? null,
      conversationId: cleanOptionalText(conversationId, { field: ['conversationId'], max: 200 }) ?? null,
      now: this.parts.now?.() ?? new Date(),
    }
  }

  private search({ now, language, channel }: Asked, text: string): Promise<FaqSearch> {
    return this.parts.index.search(text, { now, language, channel })
  }

  /** The entry that a reply to a clarification means: by its place, or by its words. */
  private chosen({ text }: Asked, { outcome, candidates }: QuestionRow): ServedEntry | undefined {
    if (outcome !== 'CLARIFICATION') return undefined
    const said = text.trim().toLowerCase()
    const place = candidates.length === 1 && agrees(text) ? 0 : choiceIn(text, candidates.length)
    const id =
      place >= 0 ? candidates[place] : candidates.find(each => this.parts.index.entry(each)?.question.trim().toLowerCase() === said)
    return id === undefined ? undefined : this.parts.index.entry(id)
  }

  private async give(
    asked: Asked,
    entry: ServedEntry,
    { confidence, matchedTerms, search, rule }: { confidence: number; matchedTerms: string[]; search?: FaqSearch; rule?: string },
  ): Promise<FaqAnswer> {
    const decisionId = await this.record(asked, search, { outcome: 'ANSWER', entryId: entry.id, confidence }, rule ? [rule] : [])
    return Object.assign(new FaqAnswer(), {
      decisionId,
      entry: FaqEntryType.of(entry),
      text: entry.answer,
      confidence,
      matchedTerms,
    })
  }

  private async clarify(asked: Asked, search: FaqSearch, rules: string[]): Promise<FaqClarification> {
    const candidates = search.found
      .filter(({ score }, at) => at < CANDIDATES && score >= NEAR * search.found[0].score)
      .map(({ entry }) => entry)
    const decisionId = await this.record(
      asked,
      search,
      { outcome: 'CLARIFICATION', candidates: candidates.map(({ id }) => id), confidence: search.confidence },
      rules,
    )
    const list = candidates.map((entry, at) => `${at + 1}. ${entry.question}`).join('\n')
    const [one, several] =
      asked.speech === 'zh' ? ['您想问的是这个吗？', '您想问的是哪一个？'] : ['Is this what you mean?', 'Which of these do you mean?']
    const question = `${candidates.length > 1 ? several : one}\n${list}`
    return Object.assign(new FaqClarification(), { decisionId, question, candidates: candidates.map(FaqEntryType.of) })
  }

  /** Nobody is called for a greeting or a thank-you. */
  private async greet(asked: Asked): Promise<FaqClarification> {
    const decisionId = await this.record(asked, undefined, { outcome: 'CLARIFICATION', confidence: 0 }, [
      'A greeting or thanks: nothing was asked',
    ])
    const question = asked.speech === 'zh' ? '请问有什么可以帮您？' : 'How can I help you?'
    return Object.assign(new FaqClarification(), { decisionId, question, candidates: [] })
  }

  /** What was offered or answered was of no use: a person takes over, and the question before counts as one that got no answer. */
  private async giveUp(asked: Asked, before: QuestionRow): Promise<FaqHandOff> {
    await this.parts.repository.judge(before.id, false, null)
    return this.handOff(asked, 'NOT_HELPFUL', undefined)
  }

  private async handOff(asked: Asked, reason: HandOffReason, search: FaqSearch | undefined, rules: string[] = []): Promise<FaqHandOff> {
    const ticketId = v7()
    const decisionId = await this.record(
      asked,
      search,
      { outcome: 'HAND_OFF', reason, ticketId, confidence: search?.confidence ?? 0 },
      rules,
    )
    return Object.assign(new FaqHandOff(), {
      decisionId,
      ticketId: encodeId('FaqTicket', ticketId),
      message: MESSAGES[reason][asked.speech],
      reason,
    })
  }

  /** The decision and the question are stored before the answer goes out. */
  private async record(
    { id, text, speech, channel, conversationId, now }: Asked,
    search: FaqSearch | undefined,
    outcome: Pick<NewQuestion, 'outcome' | 'confidence'> & Partial<Pick<NewQuestion, 'reason' | 'entryId' | 'candidates' | 'ticketId'>>,
    rules: string[],
  ): Promise<string> {
    const facts = { reason: null, entryId: null, candidates: [], ticketId: null, ...outcome }
    const found = search?.found ?? []
    const threshold = search
      ? [
          `Answered from a confidence of ${search.threshold.toFixed(3)} on`,
          ...(search.isNear ? [] : ['Not nearly an approved phrasing, and too little is known to answer what is not']),
          search.isJudged
            ? 'Retrieval and a classifier over the approved phrasings'
            : 'Retrieval alone: too few phrasings for a classifier, or too many',
        ]
      : []
    const decision = decisionRow(
      {
        id,
        kind: 'faq',
        userId: null,
        modelId: null,
        servedBy: 'phrasings (approved entries)',
        contributions: [
          { feature: facts.outcome, value: 'confidence', weight: facts.confidence },
          ...found.map(({ entry, phrasing, score }) => ({ feature: entry.id, value: phrasing.slice(0, 200), weight: score })),
        ],
        rules: [...(facts.reason ? [facts.reason] : []), ...threshold, ...rules],
        dropped: { counts: {}, examples: [] },
        consentBasis: null,
        input: { question: text, channel, conversationId },
      },
      now,
    )
    await this.parts.repository.addQuestion({ ...facts, id, text, locale: speech, channel, conversationId, askedAt: now }, decision)
    this.parts.metrics.model('FAQ', facts.outcome.toLowerCase())
    return encodeId('Decision', id)
  }
}

function isSure({ confidence, threshold, isNear }: FaqSearch): boolean {
  return confidence >= threshold && isNear
}

/** Whether a reply says that it was not that: "no" to what was offered, "that did not help" to an answer. */
function turnsDown(text: string, { outcome, candidates }: QuestionRow): boolean {
  if (outcome === 'ANSWER') return complainsOfAnswer(text)
  return outcome === 'CLARIFICATION' && candidates.length > 0 && refuses(text)
}

/** The last message that stands by itself; those that went on with it asked for other things. Rows are newest first. */
function contextOf(recent: readonly QuestionRow[]): string {
  const root = recent.find(({ text }, at) => at === recent.length - 1 || !saysMore(text, recent[at + 1]))
  return root?.text ?? ''
}

/** Whether a text goes on with the one before; after a question back a few words say which was meant. */
function saysMore(text: string, { outcome, candidates }: QuestionRow): boolean {
  return isFollowUp(text) || (outcome === 'CLARIFICATION' && candidates.length > 0 && isShort(text))
}

const MESSAGES: Record<HandOffReason, Record<'en' | 'zh', string>> = {
  PERSON_ASKED: {
    en: 'Of course. A person will take over and answer you here.',
    zh: '好的，正在为您转接人工客服，请稍候。',
  },
  UNKNOWN: {
    en: 'I have no answer to this yet. I have passed your question on; a person will answer you.',
    zh: '这个问题我暂时无法回答，已为您转给人工客服，稍后会有人回复您。',
  },
  NOT_HELPFUL: {
    en: 'I am sorry that this was no help. I have passed your question on; a person will answer you.',
    zh: '抱歉没能帮到您，已为您转给人工客服，稍后会有人回复您。',
  },
  UNSURE: {
    en: 'I am not sure enough to answer this. I have passed your question on; a person will answer you.',
    zh: '我不太确定该如何回答，已为您转给人工客服，稍后会有人回复您。',
  },
}
