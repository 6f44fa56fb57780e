import { createRandom, type Random } from '../../src/algorithms/math/random.js'
import { type Benchmark, median, type Row } from './bench.js'
import { bodiesOf, HELLO, headersOf, load, type Round } from './load.js'
import { type Platform, startPlatform } from './platform.js'

const ENTRIES = 10_000
const CONNECTIONS = 16
const ROUNDS = 5
const SECONDS = 6
const QUESTIONS = 2_000

const ASK = `query Ask($q: String!) { faqAnswer(question: $q) { __typename
  ... on FaqAnswer { decisionId text confidence matchedTerms entry { id question } }
  ... on FaqClarification { decisionId question candidates { id question } }
  ... on FaqHandOff { decisionId ticketId message reason } } }`

/** faqAnswer over 10,000 approved entries with three phrasings each, a third of the questions mistyped: answered when question and decision are stored. */
export const faqServing: Benchmark = {
  name: 'faq-serving',
  run: async ({ smoke }) => {
    const platform = await startPlatform()
    try {
      const questions = await fill(platform, smoke ? 500 : ENTRIES)
      await untilAnswered(platform, questions[0])
      const [hello, ask] = [
        bodiesOf(HELLO),
        bodiesOf(
          ASK,
          questions.map(q => ({ q })),
        ),
      ]
      const door = { url: `${platform.url}/graphql`, key: platform.keys.chatbot }
      for (const requests of [hello, ask]) await load(door, requests, smoke ? 1 : SECONDS, CONNECTIONS)
      if (smoke) return []
      const rounds: { hello: Round; ours: Round }[] = []
      for (let round = 0; round < ROUNDS; round++)
        rounds.push({ hello: await load(door, hello, SECONDS, CONNECTIONS), ours: await load(door, ask, SECONDS, CONNECTIONS) })
      return rowsOf(rounds, await outcomes(platform))
    } finally {
      await platform.stop()
    }
  },
}

function rowsOf(rounds: { hello: Round; ours: Round }[], shares: string): Row[] {
  const middle = (value: (round: { hello: Round; ours: Round }) => number) => median(rounds.map(value))
  return [
    {
      benchmark: `faqAnswer, ${ENTRIES.toLocaleString('en')} entries, ${CONNECTIONS} connections (${shares})`,
      ours: `${Math.round(middle(({ ours }) => ours.perSecond)).toLocaleString('en')} requests/s`,
      peer: `${Math.round(middle(({ hello }) => hello.perSecond)).toLocaleString('en')} requests/s of { __typename }`,
      ratio: `${middle(({ ours, hello }) => ours.perSecond / hello.perSecond).toFixed(2)} ×`,
      bar: '≥ 2,000 requests/s',
    },
    {
      benchmark: 'the same, 99th percentile',
      ours: `${middle(({ ours }) => ours.p99).toFixed(0)} ms`,
      peer: `${middle(({ hello }) => hello.p99).toFixed(0)} ms`,
      ratio: '–',
      bar: '< 15 ms',
    },
  ]
}

const ACTIONS =
  'cancel return track change pay exchange repair register assemble clean charge update insure rent lease gift engrave recycle ship collect'.split(
    ' ',
  )
const THINGS =
  'kettle laptop jacket tent invoice voucher parcel subscription sofa phone camera bicycle mattress perfume keyboard monitor backpack blender drill guitar'.split(
    ' ',
  )
const PLACES =
  'abroad in Germany at the store by courier on Sundays as a student with paypal without a receipt after a month before delivery'.match(
    /\w+ ?\w*/g,
  ) as string[]
const FORMS = [
  'How can I {a} my {t} {p}?',
  'i want to {a} the {t} {p}',
  'is it possible to {a} a {t} {p}',
  '{t} {p}: {a}',
  'who helps to {a} {t} {p}',
]

async function fill({ database }: Platform, count: number): Promise<string[]> {
  const random = createRandom(7)
  const pick = (list: readonly string[]) => list[random.below(list.length)]
  const questions: string[] = []
  const rows = Array.from({ length: count }, (_, at) => {
    const topic = { a: pick(ACTIONS), t: `${pick(THINGS)} ${String.fromCharCode(97 + (at % 26))}${at % 97}`, p: pick(PLACES) }
    const phrasings = FORMS.slice(0, 3).map(form => said(form, topic))
    if (questions.length < QUESTIONS) questions.push(at % 3 === 0 ? mistyped(phrasings[at % 3], random) : said(pick(FORMS), topic))
    return { id: `entry-${at}`, question: phrasings[0], alternatives: phrasings.slice(1) }
  })
  await database.query(
    `INSERT INTO "FaqEntry" (id, question, answer, alternatives, locale, status, "approvedVersion")
     SELECT id, question, 'The answer to ' || question, alternatives, 'en', 'APPROVED', 1 FROM json_to_recordset($1) AS e(id text, question text, alternatives text[])`,
    [JSON.stringify(rows)],
  )
  return questions
}

function said(form: string, { a, t, p }: { a: string; t: string; p: string }): string {
  return form.replace('{a}', a).replace('{t}', t).replace('{p}', p)
}

function mistyped(text: string, random: Random): string {
  const at = 1 + random.below(text.length - 2)
  return text.slice(0, at) + text[at + 1] + text[at] + text.slice(at + 2)
}

/** The index is built beside the serving: asks until an entry answers. */
async function untilAnswered(platform: Platform, question: string) {
  for (let tries = 0; tries < 300; tries++) {
    const { data } = (await post(platform, question)) as { data?: { faqAnswer: { reason?: string } } }
    if (data && data.faqAnswer.reason !== 'UNKNOWN') return
    await new Promise(done => setTimeout(done, 200))
  }
  throw new Error('The entries were not served within a minute')
}

async function post({ url, keys }: Platform, q: string): Promise<object> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: headersOf(keys.chatbot),
    body: JSON.stringify({ query: ASK, variables: { q } }),
  })
  const answer = (await response.json()) as { errors?: unknown }
  if (answer.errors) throw new Error(JSON.stringify(answer.errors))
  return answer
}

/** What the answers were, as they are stored: a benchmark of hand-offs would say little. */
async function outcomes({ database }: Platform): Promise<string> {
  const { rows } = await database.query<{ outcome: string; share: number }>(
    'SELECT outcome, count(*)::float8 / sum(count(*)) OVER () AS share FROM "FaqQuestion" GROUP BY 1 ORDER BY 2 DESC',
  )
  return rows.map(({ outcome, share }) => `${outcome.toLowerCase().replace('_', '-')} ${Math.round(100 * Number(share))} %`).join(', ')
}
