import type { Classifier } from '../algorithms/ctr/classifier.js'
import { withFewerNegatives } from '../algorithms/ctr/classifier.js'
import type { Examples } from '../algorithms/ctr/examples.js'
import { algorithms } from '../algorithms/ctr/index.js'
import { createRandom } from '../algorithms/math/random.js'
import type { AccountCalendar, LocalMoment } from '../campaigns/time-zone.js'
import type { Task, TaskData } from '../registry/task.js'
import type { AdFactsRow, AdLogRepository, LogRow } from './ad-log.repository.js'
import { type AdFacts, adWords, ageOf, type ContextFacts, contextWords, FIELDS, WIDTH, withSentiment, writeExample } from './features.js'
import type { ProductSentiments } from './product-sentiment.js'

interface Kind {
  name: 'CTR' | 'CVR'
  /** Labels come late: a row is learned from only when so much time has passed since it was shown. */
  waitMs: number
  minimumRows: number
  labelOf(row: LogRow): boolean
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WINDOW_DAYS = 90
/** More negatives than this are sampled; the models correct their predictions for it. */
const MOST_NEGATIVES = 2_000_000
/** The baseline is each ad's own smoothed rate. */
const BY_AD = { field: 'ad' }

export const KINDS: Record<Kind['name'], Kind> = {
  CTR: { name: 'CTR', waitMs: HOUR_MS, minimumRows: 1_000, labelOf: row => row.clicked },
  CVR: { name: 'CVR', waitMs: 3 * DAY_MS, minimumRows: 300, labelOf: row => row.converted },
}

/** Chances of a click, or of a conversion after a click, learned from the log of impressions. */
export function clickTask(
  name: Kind['name'],
  repository: AdLogRepository,
  calendar: AccountCalendar,
  seed: number,
): Task<Examples, Classifier> {
  const kind = KINDS[name]
  return {
    name,
    family: 'ctr',
    algorithms: algorithms.map((algorithm, place) =>
      place === 0 ? { ...algorithm, defaults: { ...algorithm.defaults, ...BY_AD } } : algorithm,
    ),
    primary: { metric: 'logLoss', higherIsBetter: false },
    minimumRows: kind.minimumRows,
    load: async now => {
      // Counted from the newest impression, so that a shop that brings an old log can learn from it.
      const newest = (await repository.newest()) ?? now
      const until = new Date(Math.min(now.getTime() - kind.waitMs, newest.getTime() + 1))
      const from = new Date(newest.getTime() - WINDOW_DAYS * DAY_MS)
      const { examples, ads } = await learnable(repository, calendar, kind, { from, until })
      const positives = examples.labels.reduce((sum, label) => sum + label, 0)
      const negatives = examples.rows - positives
      const data =
        negatives > MOST_NEGATIVES ? withFewerNegatives(examples, MOST_NEGATIVES / negatives, createRandom(seed).fork(name)) : examples
      return { data, rows: data.rows, from: timeAt(data, 0), to: timeAt(data, data.rows - 1), keys: ads } satisfies TaskData<Examples>
    },
  }
}

/** Rows of the log as examples, in time order, and the ads they are of. */
export async function learnable(
  repository: AdLogRepository,
  calendar: AccountCalendar,
  { name, labelOf }: Kind,
  span: { from: Date; until: Date },
): Promise<{ examples: Examples; ads: Int32Array }> {
  const facts = new Map<number, { words: Uint32Array; productId: number | null }>(
    (await repository.ads()).map(row => [row.id, { words: adWords(adFactsOf(row)), productId: row.productId }]),
  )
  let sentiments: ProductSentiments | undefined
  const moments = new Map<number, LocalMoment>()
  const rows: { at: number; label: number; words: Uint32Array }[] = []
  const seen = new Set<number>()
  for await (const page of repository.rows({ ...span, clickedOnly: name === 'CVR' })) {
    // Our own bids kept what was known of the product.
    if (page.some(({ isOwn }) => !isOwn)) sentiments ??= await repository.sentiments(span)
    for (const row of page) {
      const ad = facts.get(row.adId)
      if (!ad) continue
      seen.add(row.adId)
      const words = new Uint32Array(WIDTH)
      const context = contextOf(row, momentOf(row.at, calendar, moments))
      const sentiment = (row.isOwn ? context.sentiment : sentiments?.at(ad.productId, row.at)) ?? null
      writeExample(words, 0, withSentiment(ad.words, sentiment), contextWords(context))
      rows.push({ at: row.at, label: labelOf(row) ? 1 : 0, words })
    }
  }
  rows.sort((a, b) => a.at - b.at)
  const examples: Examples = {
    fields: FIELDS,
    rows: rows.length,
    numbers: new Float32Array(0),
    words: new Uint32Array(rows.length * WIDTH),
    labels: new Uint8Array(rows.length),
    times: new Float64Array(rows.length),
  }
  rows.forEach(({ at, label, words }, place) => {
    examples.words.set(words, place * WIDTH)
    examples.labels[place] = label
    if (examples.times) examples.times[place] = at
  })
  return { examples, ads: Int32Array.from(seen).sort() }
}

function adFactsOf({ id, adGroupId, campaignId, productExternalId, categories, brand, priceMicros }: AdFactsRow): AdFacts {
  return {
    ad: String(id),
    adGroup: adGroupId,
    campaign: campaignId,
    product: productExternalId,
    categories: categories ?? [],
    brand,
    priceMicros: priceMicros === null ? null : Number(priceMicros),
    sentiment: null,
  }
}

const NOTHING_PERSONAL = { gender: null, age: null, city: null, affinity: null }

/** What was known when it was shown: of a bid of ours what was kept with it, of an imported row its context and the person's lasting facts. */
function contextOf({ isOwn, isRefused, context, gender, birthYear, city, country, at }: LogRow, moment: LocalMoment): ContextFacts {
  const known: ContextFacts = isRefused ? { ...context, ...NOTHING_PERSONAL } : context
  if (isOwn) return known
  return {
    ...known,
    hour: known.hour ?? moment.hour,
    weekday: known.weekday ?? moment.weekday,
    gender: known.gender ?? gender,
    age: known.age ?? ageOf(birthYear, new Date(at).getUTCFullYear()),
    city: known.city ?? city,
    country: known.country ?? country,
  }
}

function momentOf(at: number, calendar: AccountCalendar, known: Map<number, LocalMoment>): LocalMoment {
  // Offsets are whole quarters of an hour.
  const quarter = Math.floor(at / (HOUR_MS / 4))
  const moment = known.get(quarter) ?? calendar.moment(new Date(quarter * (HOUR_MS / 4)))
  known.set(quarter, moment)
  return moment
}

function timeAt({ times, rows }: Examples, row: number): Date | null {
  return rows > 0 && times ? new Date(times[row]) : null
}
