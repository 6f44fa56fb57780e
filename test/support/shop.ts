import type { TestApp } from './app.js'

const DAY_MS = 86_400_000

/**
 * A small shop of two tastes: twelve products, the first half tea and the second tents, and sixty visitors who bought five of one half. All but one
 * product of his half are known to each of them.
 */
export async function fillShop(house: TestApp, now = Date.now()): Promise<void> {
  const ingest = house.as('ingest')
  const items = Array.from({ length: 12 }, (_, at) => ({
    externalId: `p${at}`,
    title: `Product p${at}`,
    categories: [at < 6 ? 'tea' : 'tents'],
    price: { amountMicros: String((at + 1) * 1_000_000), currencyCode: 'EUR' },
  }))
  const upserts = items.map((_, at) => `p${at}: productUpsert(input: $i${at}) { userErrors { message } }`)
  const variables = items.map((_, at) => `$i${at}: ProductUpsertInput!`)
  for (const from of [0, 6]) {
    const part = <T>(list: T[]) => list.slice(from, from + 6)
    const { errors } = await ingest.run(
      `mutation(${part(variables).join(' ')}) { ${part(upserts).join(' ')} }`,
      Object.fromEntries(part(items.map((item, at) => [`i${at}`, item]))),
    )
    if (errors) throw new Error(errors[0].message)
  }
  const events = Array.from({ length: 60 * 5 }, (_, at) => {
    const [user, step] = [Math.floor(at / 5), at % 5]
    return {
      messageId: `${user}-${step}`,
      userId: `u${user}`,
      productId: `p${(user % 2) * 6 + ((user + step) % 6)}`,
      type: 'PURCHASE',
      quantity: 1,
      price: 9.99,
      timestamp: now - 40 * DAY_MS + step * 6 * DAY_MS + user * 1_000,
    }
  })
  const { data } = await ingest.run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
  if ((data as { eventsTrack: { accepted: number } } | null)?.eventsTrack.accepted !== events.length)
    throw new Error('The shop is not full')
}
