import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type App, createApp } from '../../../src/app.js'
import { AnswersService, CONVERSATION_MS } from '../../../src/faq/answers.service.js'
import { FaqRepository } from '../../../src/faq/faq.repository.js'
import { asksForPerson, choiceIn, isGreeting } from '../../../src/faq/wishes.js'
import { silentLog } from '../../../src/platform/log.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'

// Two instances on one database: the one that is asked, and another host.
let house: TestApp
let other: App
beforeAll(async () => {
  house = await startTestApp()
  other = await createApp({ config: house.app.config, databaseUrl: house.app.database.url, log: silentLog, role: 'server' })
  await other.faqIndex.start()
}, 60_000)
afterAll(async () => {
  await other.close()
  await house.close()
})

type Row = Record<string, never> & {
  id: string
  version: number
  status: string
}
interface Outcome {
  entry: Row | null
  userErrors: { code: string; field: string[]; message: string }[]
}
interface Result {
  __typename: 'FaqAnswer' | 'FaqClarification' | 'FaqHandOff'
  decisionId: string
  text?: string
  confidence?: number
  matchedTerms?: string[]
  entry?: { question: string }
  question?: string
  candidates?: { question: string }[]
  ticketId?: string
  message?: string
  reason?: string
}

const FIELDS = 'id question answer alternatives locale channel status version validFrom validTo'
const edit = async (verb: string, input: object): Promise<Outcome> => {
  const type = verb === 'faqEntryCreate' ? 'FaqEntryCreateInput' : verb === 'faqEntryUpdate' ? 'FaqEntryUpdateInput' : 'FaqEntryActionInput'
  const { data, errors } = await house
    .as('marketer')
    .run(`mutation($i: ${type}!) { r: ${verb}(input: $i) { entry { ${FIELDS} } userErrors { code field message } } }`, { i: input })
  expect(errors).toBeUndefined()
  return (data as unknown as { r: Outcome }).r
}
const approved = async (input: object): Promise<Row> => {
  const { entry, userErrors } = await edit('faqEntryCreate', input)
  expect(userErrors).toEqual([])
  const outcome = await edit('faqEntryApprove', { id: entry?.id, expectedVersion: 1 })
  expect(outcome.userErrors).toEqual([])
  return outcome.entry as Row
}
const ask = async (question: string, args: { locale?: string; conversationId?: string; channel?: string } = {}): Promise<Result> => {
  const { data, errors } = await house.as('chatbot').run(
    `query($q: String!, $l: String, $c: String, $h: String) { faqAnswer(question: $q, locale: $l, conversationId: $c, channel: $h) { __typename
       ... on FaqAnswer { decisionId text confidence matchedTerms entry { question } }
       ... on FaqClarification { decisionId question candidates { question } }
       ... on FaqHandOff { decisionId ticketId message reason } } }`,
    { q: question, l: args.locale, c: args.conversationId, h: args.channel },
  )
  expect(errors).toBeUndefined()
  return (data as unknown as { faqAnswer: Result }).faqAnswer
}

const unansweredRows = (now = new Date()) => new FaqRepository(house.app.database).unanswered(new Date(0), now, CONVERSATION_MS, 1_000)
const unanswered = async (): Promise<string[]> => (await unansweredRows()).map(({ text }) => text)
const closed = async (ticketId: string) => {
  const { data, errors } = await house.as('marketer').run(
    `mutation($i: FaqTicketCloseInput!) { r: faqTicketClose(input: $i) { userErrors { code message }
       ticket { reason channel conversationId closedBy messages { text outcome entryId } } } }`,
    { i: { ticketId } },
  )
  expect(errors).toBeUndefined()
  return (data as unknown as { r: { ticket: object | null; userErrors: { code: string; message: string }[] } }).r
}

const ENTRIES = [
  [
    'How long does delivery take?',
    'Two to four working days.',
    ['When will my parcel arrive?', 'shipping time', 'how many days until delivery'],
  ],
  [
    'How do I return an article?',
    'Within 30 days, with the label in the box.',
    ['I want to send it back', 'returning goods', 'what is the return policy'],
  ],
  ['Which ways of payment are there?', 'Card, PayPal and invoice.', ['can I pay by credit card', 'do you take paypal', 'payment methods']],
  ['How do I change my password?', 'Under Account, then Security.', ['reset password', 'I forgot my password', 'password lost']],
  ['Where is my invoice?', 'In your account under Orders.', ['download invoice', 'I need a bill', 'receipt for my order']],
  ['Do you ship abroad?', 'To all of Europe.', ['delivery to France', 'international shipping', 'do you deliver to Spain']],
  [
    'How do I cancel an order?',
    'In your account while it is not packed yet.',
    ['cancel my purchase', 'stop my order', 'I ordered by mistake'],
  ],
  ['What is the warranty?', 'Two years on everything.', ['how long is the guarantee', 'warranty period', 'it broke, is it covered']],
] as const
const CHINESE = [
  ['多久能到货？', '一般两到四个工作日。', ['快递要几天', '什么时候能收到', '发货多长时间']],
  ['怎么退货？', '三十天内无理由退货。', ['我想退货', '退货流程', '不喜欢可以退吗']],
  ['怎么修改密码？', '在账户安全里修改。', ['忘记密码怎么办', '重置密码', '密码丢了']],
] as const

test('entries are drafts until a person approves them, and are then answered from in every process within seconds', async () => {
  for (const [question, answer, alternatives] of [...ENTRIES, ...CHINESE]) {
    const { entry } = await edit('faqEntryCreate', { question, answer, alternatives })
    expect(entry?.status).toBe('DRAFT')
  }
  expect(await ask('How long does delivery take?')).toMatchObject({ __typename: 'FaqHandOff', reason: 'UNKNOWN' })
  const { data } = await house.as('marketer').run('{ faqEntries(first: 50, where: { status: DRAFT }) { totalCount nodes { id version } } }')
  const { nodes } = (data as unknown as { faqEntries: { nodes: Row[] } }).faqEntries
  expect(nodes).toHaveLength(ENTRIES.length + CHINESE.length)
  for (const { id } of nodes) expect((await edit('faqEntryApprove', { id })).entry?.status).toBe('APPROVED')
  await eventually(async () => house.app.faqIndex.size === nodes.length && other.faqIndex.size === nodes.length, 6_000)
})

describe('a question', () => {
  test.each([
    ['How long does delivery take?', 'Two to four working days.'],
    ['how lnog does delivry take', 'Two to four working days.'],
    ['i forgot my pasword', 'Under Account, then Security.'],
    ['快递要几天啊', '一般两到四个工作日。'],
    ['忘記密碼怎麼辦', '在账户安全里修改。'],
  ])('that is known is answered, also mistyped: %s', async (question, answer) => {
    const result = await ask(question)
    expect(result).toMatchObject({ __typename: 'FaqAnswer', text: answer })
    expect(result.confidence).toBeGreaterThan(0.5)
    expect(result.matchedTerms).not.toEqual([])
  })

  test.each(['What do penguins eat in winter?', 'asdfgh', '🤷', '今天天气怎么样', '<b>x</b>', '؟', '​‏', 'a'.repeat(2_000)])(
    'that is none of ours goes to a person: %#',
    async question => {
      const blank = question.replace(/[​‏]/g, '').trim() === ''
      const result = await ask(question)
      expect(result).toMatchObject({ __typename: 'FaqHandOff', message: expect.any(String), ticketId: expect.any(String) })
      expect(['UNKNOWN', 'UNSURE']).toContain(result.reason)
      expect(blank || result.message).toBeTruthy()
    },
  )

  test.each([
    'A person, please',
    'let me talk to a human being',
    'agent',
    '转人工',
    '我要找真人客服',
    'I need someone real, connect me with an operator',
  ])('for a person always works: %s', async question => {
    expect(asksForPerson(question)).toBe(true)
    expect(await ask(question)).toMatchObject({ __typename: 'FaqHandOff', reason: 'PERSON_ASKED' })
  })

  test('that merely holds the word is none for a person', () => {
    for (const text of [
      'What does it cost per person?',
      'personal data',
      'Can I pick it up in person?',
      '客服态度不好',
      'How long does delivery take?',
    ])
      expect(asksForPerson(text)).toBe(false)
  })

  test('that cannot be is refused by a sentence', async () => {
    for (const question of ['', ' ', 'a\0b', 'x'.repeat(2_001)]) {
      const { errors } = await house.as('chatbot').run('query($q: String!) { faqAnswer(question: $q) { __typename } }', { q: question })
      expect(errors?.[0].extensions.code).toBe('BAD_USER_INPUT')
    }
  })

  test('can be asked why, by its decision', async () => {
    const { decisionId } = await ask('download invoice')
    const { data } = await house
      .as('marketer')
      .run('query($d: ID!) { decision(id: $d) { kind rules contributions { feature value weight } } }', { d: decisionId })
    const { decision } = data as unknown as { decision: { kind: string; rules: string[]; contributions: { feature: string }[] } }
    expect(decision.kind).toBe('faq')
    expect(decision.rules.join()).toMatch(/confidence of 0\.\d+ on/)
    expect(decision.contributions[0]).toMatchObject({ feature: 'ANSWER', value: 'confidence' })
  })
})

describe('two that are close', () => {
  test('are offered; the next message chooses; the conversation expires', async () => {
    await approved({ question: 'What does gift wrapping of books cost?', answer: 'Two euros.', alternatives: [] })
    await approved({ question: 'What does gift wrapping of toys cost?', answer: 'Three euros.', alternatives: [] })
    await house.app.faqIndex.look()
    const offer = await ask('What does gift wrapping cost?', { conversationId: 'c-1' })
    expect(offer).toMatchObject({ __typename: 'FaqClarification' })
    const questions = offer.candidates?.map(({ question }) => question) ?? []
    expect([...questions].sort()).toEqual(['What does gift wrapping of books cost?', 'What does gift wrapping of toys cost?'])
    expect(offer.question).toContain(`2. ${questions[1]}`)
    expect(await ask('the second one', { conversationId: 'c-1' })).toMatchObject({
      __typename: 'FaqAnswer',
      entry: { question: questions[1] },
    })
    expect((await ask('the second one', { conversationId: 'c-2' })).__typename).toBe('FaqHandOff')
    await ask('What does gift wrapping cost?', { conversationId: 'c-6' })
    expect((await ask('yes', { conversationId: 'c-6' })).__typename).not.toBe('FaqAnswer')
    await ask('What does gift wrapping cost?', { conversationId: 'c-3' })
    const { app } = house
    const answers = (now: Date) =>
      new AnswersService({
        index: app.faqIndex,
        repository: new FaqRepository(app.database),
        metrics: app.metrics,
        now: () => now,
      })
    const late = await answers(new Date(Date.now() + CONVERSATION_MS + 1_000)).answer({ question: '1', conversationId: 'c-3' })
    expect(late).toMatchObject({ reason: expect.stringMatching(/UNKNOWN|UNSURE/) })
    await ask('What does gift wrapping cost?', { conversationId: 'c-4' })
    expect(await answers(new Date()).answer({ question: '第一个', conversationId: 'c-4' })).toMatchObject({ entry: expect.anything() })
  })

  test('are no two where they have one answer', async () => {
    const answer = 'The garden is open from May to October.'
    await approved({ question: 'When can I visit the rose garden of the museum?', answer })
    await approved({ question: 'When can I visit the herb garden of the museum?', answer })
    await house.app.faqIndex.look()
    expect(await ask('the garden of the museum, when')).toMatchObject({ __typename: 'FaqAnswer', text: answer })
  })

  test('and one that is likely, but not certain enough to be given, is asked about', async () => {
    const offer = await ask('how can I return a present', { conversationId: 'c-5' })
    expect(offer).toMatchObject({ __typename: 'FaqClarification', candidates: [{ question: 'How do I return an article?' }] })
    expect(offer.question).toContain('Is this what you mean?')
    expect(await ask('yes', { conversationId: 'c-5' })).toMatchObject({
      __typename: 'FaqAnswer',
      entry: { question: 'How do I return an article?' },
    })
  })

  test('are told apart by a few words more, and what was meant before is remembered', async () => {
    await ask('What does gift wrapping cost?', { conversationId: 'c-7' })
    expect(await ask('of toys', { conversationId: 'c-7' })).toMatchObject({ text: 'Three euros.' })
    expect(await ask('and of books?', { conversationId: 'c-7' })).toMatchObject({ text: 'Two euros.' })
    expect(await ask('and toys?', { conversationId: 'c-7' })).toMatchObject({ text: 'Three euros.' })
  })

  test.each(['no', 'None of these', '都不是'])('and turned down lead to a person: %s', async reply => {
    const { decisionId } = await ask('What does gift wrapping cost?', { conversationId: `c-8 ${reply}` })
    expect(await ask(reply, { conversationId: `c-8 ${reply}` })).toMatchObject({ __typename: 'FaqHandOff', reason: 'NOT_HELPFUL' })
    expect(await unanswered()).toContain('What does gift wrapping cost?')
    expect(await unanswered()).not.toContain(reply)
    expect(decisionId).toBeTruthy()
  })

  test('and left alone count as unanswered when the conversation has rested', async () => {
    const question = 'What does gift wrapping cost?'
    const openIn = async (conversationId: string) => {
      const inHalfAnHour = new Date(Date.now() + CONVERSATION_MS + 60_000)
      const rows = await unansweredRows(inHalfAnHour)
      const { rows: own } = await house.app.database.pool.query('SELECT id FROM "FaqQuestion" WHERE "conversationId" = $1', [
        conversationId,
      ])
      return rows.filter(({ id }) => own.some(row => row.id === id)).map(({ text }) => text)
    }
    expect(await ask(question, { conversationId: 'c-20' })).toMatchObject({ __typename: 'FaqClarification' })
    expect(await openIn('c-20')).toEqual([question])
    // What is taken up is not, whatever came of it, and neither is a greeting.
    await ask(question, { conversationId: 'c-21' })
    await ask('of toys', { conversationId: 'c-21' })
    expect(await openIn('c-21')).toEqual([])
    await ask('hello', { conversationId: 'c-22' })
    expect(await openIn('c-22')).toEqual([])
    // The customer may still choose.
    const { rows } = await house.app.database.pool.query(`SELECT id FROM "FaqQuestion" WHERE "conversationId" = 'c-20'`)
    expect((await unansweredRows()).map(({ id }) => id)).not.toContain(rows[0].id)
  })

  test('an answer that was of no use leads to a person, who sees what was said', async () => {
    await ask('How do I change my password?', { conversationId: 'c-9', channel: 'web' })
    const handOff = await ask("That's not what I asked!", { conversationId: 'c-9', channel: 'web' })
    expect(handOff).toMatchObject({ __typename: 'FaqHandOff', reason: 'NOT_HELPFUL' })
    expect(await unanswered()).toContain('How do I change my password?')
    const { ticket } = await closed(handOff.ticketId as string)
    expect(ticket).toMatchObject({
      reason: 'NOT_HELPFUL',
      channel: 'web',
      conversationId: 'c-9',
      closedBy: 'marketer',
      messages: [
        { text: 'How do I change my password?', outcome: 'ANSWER', entryId: expect.any(String) },
        { text: "That's not what I asked!", outcome: 'HAND_OFF', entryId: null },
      ],
    })
  })

  test.each(['运费是多少', '一共要付多少钱', '星期二能送到吗'])(
    'a question that holds a number or "is" chooses nothing: %s',
    async text => {
      await ask('What does gift wrapping cost?', { conversationId: `c-10 ${text}` })
      const result = await ask(text, { conversationId: `c-10 ${text}` })
      expect(`${result.text}`).not.toMatch(/euros/)
    },
  )

  test.each(['Hello!', 'thanks', '你好', '谢谢您'])('a greeting calls nobody: %s', async text => {
    expect(await ask(text)).toMatchObject({ __typename: 'FaqClarification', candidates: [] })
    expect(isGreeting(`${text} where is my order`)).toBe(false)
  })

  test('places are read in both languages', () => {
    expect(['1', 'The second one.', '第三个', 'b', 'neither', '12'].map(text => choiceIn(text))).toEqual([0, 1, 2, 1, -1, -1])
  })
})

describe('an entry', () => {
  test('answers only in its time, its channel and its language', async () => {
    const day = 86_400_000
    await approved({
      question: 'Is there a midsummer voucher?',
      answer: 'MIDSUMMER10',
      validFrom: new Date(Date.now() - 2 * day).toISOString(),
      validTo: new Date(Date.now() - day).toISOString(),
    })
    await approved({ question: 'Where is the loading dock of the warehouse?', answer: 'Gate 4', channel: 'partners' })
    await house.app.faqIndex.look()
    expect((await ask('Is there a midsummer voucher?')).__typename).toBe('FaqHandOff')
    expect((await ask('Where is the loading dock of the warehouse?')).__typename).toBe('FaqHandOff')
    expect(await ask('Where is the loading dock of the warehouse?', { channel: 'partners' })).toMatchObject({ text: 'Gate 4' })
    expect((await ask('How do I return an article?', { locale: 'zh-CN' })).__typename).toBe('FaqHandOff')
    expect(await ask('怎么退货', { locale: 'zh-TW' })).toMatchObject({ text: '三十天内无理由退货。' })
  })

  test('goes on answering as approved while a change waits; a rejection restores it; a retirement ends it', async () => {
    const entry = await approved({
      question: 'Do you have a loyalty programme?',
      answer: 'Yes, since 2019.',
      alternatives: ['bonus points'],
    })
    const { entry: changed } = await edit('faqEntryUpdate', { id: entry.id, expectedVersion: 1, answer: 'No more.' })
    expect(changed).toMatchObject({ status: 'DRAFT', version: 2, answer: 'No more.', alternatives: ['bonus points'] })
    await house.app.faqIndex.look()
    expect(await ask('Do you have a loyalty programme?')).toMatchObject({ text: 'Yes, since 2019.' })
    const { entry: restored } = await edit('faqEntryReject', { id: entry.id, expectedVersion: 2 })
    expect(restored).toMatchObject({ status: 'APPROVED', version: 3, answer: 'Yes, since 2019.', alternatives: ['bonus points'] })
    await edit('faqEntryUpdate', { id: entry.id, expectedVersion: 3, answer: 'It has changed.' })
    await edit('faqEntryApprove', { id: entry.id, expectedVersion: 4 })
    await house.app.faqIndex.look()
    expect(await ask('Do you have a loyalty programme?')).toMatchObject({ text: 'It has changed.' })
    const { data } = await house
      .as('marketer')
      .run(
        'query($i: ID!) { node(id: $i) { ... on FaqEntry { history { approvedVersion approvedBy versions { version content changedBy } } } } }',
        { i: entry.id },
      )
    expect(data).toMatchObject({
      node: {
        history: {
          approvedVersion: 4,
          approvedBy: 'marketer',
          versions: [{ version: 3 }, { version: 2, content: { answer: 'No more.' } }, { version: 1 }],
        },
      },
    })
    expect((await edit('faqEntryRetire', { id: entry.id })).entry?.status).toBe('RETIRED')
    await house.app.faqIndex.look()
    expect((await ask('Do you have a loyalty programme?')).__typename).toBe('FaqHandOff')
    expect((await edit('faqEntryApprove', { id: entry.id })).userErrors[0].code).toBe('ILLEGAL_TRANSITION')
  })

  test('of parallel changes takes one, and names the others the version', async () => {
    const { entry } = await edit('faqEntryCreate', { question: 'Parallel?', answer: 'Yes' })
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, at) => edit('faqEntryUpdate', { id: entry?.id, expectedVersion: 1, answer: `Writer ${at}` })),
    )
    expect(outcomes.filter(({ userErrors }) => userErrors.length === 0)).toHaveLength(1)
    expect(outcomes.flatMap(({ userErrors }) => userErrors.map(({ code }) => code))).toEqual(Array(7).fill('VERSION_CONFLICT'))
  })

  test.each([
    ['question', { question: ' ', answer: 'x' }],
    ['answer', { question: 'x', answer: 'x'.repeat(10_001) }],
    ['alternatives', { question: 'x', alternatives: Array.from({ length: 101 }, (_, at) => `x${at}`) }],
    ['validTo', { question: 'x', validFrom: '2026-01-02T00:00:00Z', validTo: '2026-01-01T00:00:00Z' }],
  ])('that cannot be is refused by its %s', async (field, input) => {
    const { entry, userErrors } = await edit('faqEntryCreate', input)
    expect(entry).toBeNull()
    expect(userErrors[0].field[0]).toBe(field)
  })

  test('with nothing to read, or in no language there is, is refused by a sentence', async () => {
    const faultOf = async (input: object) => (await edit('faqEntryCreate', { answer: 'Yes.', ...input })).userErrors[0]
    expect(await faultOf({ question: '\u200b\u202e ?' })).toMatchObject({ code: 'INVALID', field: ['question'] })
    expect(await faultOf({ question: 'Is it so?', alternatives: ['…'] })).toMatchObject({ code: 'INVALID' })
    expect(await faultOf({ question: 'Is it so?', locale: 'not a locale!' })).toMatchObject({ code: 'INVALID', field: ['locale'] })
    expect(await faultOf({ question: 'Is it so?', locale: 'zh_CN' })).toBeUndefined()
  })

  test('without an answer is not approved, and an external id is taken once', async () => {
    const { entry } = await edit('faqEntryCreate', { question: 'Unwritten?', externalId: 'x-1' })
    expect((await edit('faqEntryApprove', { id: entry?.id })).userErrors[0].message).toMatch(/without an answer/)
    expect((await edit('faqEntryCreate', { question: 'Again?', externalId: 'x-1' })).userErrors[0].code).toBe('DUPLICATE')
  })
})

test('who waits for a person stands in a list until somebody has answered, once', async () => {
  const open = async () => {
    const { data } = await house
      .as('marketer')
      .run('{ faqTickets(first: 100, open: true) { totalCount nodes { id reason closedAt messages { text } } } }')
    return (data as unknown as { faqTickets: { totalCount: number; nodes: { id: string; messages: object[] }[] } }).faqTickets
  }
  const before = (await open()).totalCount
  const { ticketId } = await ask('A person, please')
  const { totalCount, nodes } = await open()
  expect(totalCount).toBe(before + 1)
  expect(nodes.filter(({ id }) => id === ticketId)).toEqual([
    { id: ticketId, reason: 'PERSON_ASKED', closedAt: null, messages: [{ text: 'A person, please' }] },
  ])
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => closed(ticketId as string)))
  expect(outcomes.filter(({ ticket }) => ticket).length).toBe(1)
  expect(outcomes.flatMap(({ userErrors }) => userErrors)).toEqual(
    Array(3).fill({ code: 'ILLEGAL_TRANSITION', message: 'marketer has closed this ticket already' }),
  )
  expect((await open()).totalCount).toBe(before)
  const { data } = await house.as('marketer').run('query($i: ID!) { node(id: $i) { ... on FaqTicket { closedBy } } }', { i: ticketId })
  expect(data).toEqual({ node: { closedBy: 'marketer' } })
  expect((await house.as('chatbot').run('{ faqTickets { totalCount } }')).errors?.[0].extensions.code).toBe('FORBIDDEN')
  expect((await closed('RmFxVGlja2V0OngtMQ')).userErrors[0].code).toBe('NOT_FOUND')
})

test('unanswered questions are clustered into drafts by night, once', async () => {
  for (const question of [
    'Do you sell gift cards?',
    'are gift cards sold',
    'can i buy a gift card',
    'gift cards available?',
    'what about alpacas',
  ])
    await ask(question)
  expect(await house.app.faq.draftFromQuestions()).toMatch(/^Drafted [1-9]/)
  const { data } = await house
    .as('marketer')
    .run('{ faqEntries(where: { origin: "questions", search: "gift card" }) { nodes { question answer alternatives status } } }')
  const { nodes } = (data as unknown as { faqEntries: { nodes: { alternatives: string[]; status: string; answer: string }[] } }).faqEntries
  expect(nodes).toHaveLength(1)
  expect(nodes[0]).toMatchObject({ status: 'DRAFT', answer: '' })
  expect(nodes[0].alternatives.length).toBeGreaterThanOrEqual(2)
  expect(await house.app.faq.draftFromQuestions()).toMatch(/^Drafted 0/)
})

test('questions with nothing to read become no draft, and stop no night', async () => {
  for (let time = 0; time < 3; time++) await ask('??? …')
  await expect(house.app.faq.draftFromQuestions()).resolves.toMatch(/^Drafted 0 entries/)
})

test('what is asked again the next night joins the draft that waits', async () => {
  const drafts = async () => {
    const { data } = await house
      .as('marketer')
      .run('{ faqEntries(where: { origin: "questions", search: "gift card" }) { nodes { id version alternatives } } }')
    return (data as unknown as { faqEntries: { nodes: { id: string; version: number; alternatives: string[] }[] } }).faqEntries.nodes
  }
  const [before] = await drafts()
  // The text of an entry ends after a thousand characters: not in the middle of a sign.
  const long = `can I buy gift cards as presents ${'x'.repeat(966)}😀 and so on`
  for (const question of ['do you sell gift cards online', 'can i still buy a gift card', long]) await ask(question)
  expect(await house.app.faq.draftFromQuestions()).toMatch(/^Drafted 0 entries .* [23] of which joined earlier drafts/)
  const after = await drafts()
  expect(after).toHaveLength(1)
  expect(after[0]).toMatchObject({ id: before.id, version: 1 })
  expect(after[0].alternatives).toEqual(expect.arrayContaining([...before.alternatives, 'do you sell gift cards online']))
  // Nothing is added to what somebody has begun to write.
  await edit('faqEntryUpdate', { id: before.id, expectedVersion: 1, answer: 'Yes.' })
  await ask('are gift cards sold at yours')
  expect(await house.app.faq.draftFromQuestions()).toMatch(/^Drafted 0/)
  expect((await drafts())[0].alternatives).toEqual(after[0].alternatives)
  // Who began to write while the night's work was under way gets no more questions, and those wait for the next night.
  const repository = new FaqRepository(house.app.database)
  const waiting = async () => (await unansweredRows()).map(({ id }) => id)
  const [id] = await waiting()
  await repository.addToDraft(Buffer.from(before.id, 'base64url').toString().slice('FaqEntry:'.length), ['too late'], 20, [id])
  expect((await drafts())[0].alternatives).toEqual(after[0].alternatives)
  expect(await waiting()).toContain(id)
})

test('customers say whether it helped; nobody else is believed', async () => {
  const { decisionId } = await ask('How do I cancel an order?')
  const feedback = async (input: object) => {
    const { data } = await house
      .as('chatbot')
      .run('mutation($i: FaqFeedbackInput!) { faqFeedback(input: $i) { recorded userErrors { code field } } }', { i: input })
    return (data as unknown as { faqFeedback: object }).faqFeedback
  }
  expect(await feedback({ decisionId, helpful: true, comment: 'thanks' })).toMatchObject({ recorded: true, userErrors: [] })
  expect(await house.app.database.sql('SELECT helpful, feedback FROM "FaqQuestion" WHERE helpful')).toEqual([
    { helpful: true, feedback: 'thanks' },
  ])
  expect(await feedback({ decisionId: 'RGVjaXNpb246eA', helpful: false })).toMatchObject({
    recorded: null,
    userErrors: [{ code: 'NOT_FOUND' }],
  })
})

test('the chatbot key answers and does nothing else', async () => {
  const { errors } = await house.as('chatbot').run('{ faqEntries { nodes { id } } }')
  expect(errors?.[0].extensions.code).toBe('FORBIDDEN')
  expect((await house.as('ingest').run('{ faqAnswer(question: "x") { __typename } }')).errors?.[0].extensions.code).toBe('FORBIDDEN')
})
