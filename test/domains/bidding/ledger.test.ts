import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type BidAnswer, biddingWorld, eur } from '../../support/ads.js'
import { createTestDatabase } from '../../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let world: ReturnType<typeof biddingWorld>
beforeAll(async () => {
  database = await createTestDatabase()
  world = biddingWorld(database)
})
beforeEach(async () => {
  world.clock.now = new Date()
  await database.sql(`UPDATE "Campaign" SET status = 'PAUSED' WHERE status = 'ENABLED'`)
  await world.signals.announce('campaign.changed', { campaignId: '' })
})
afterAll(async () => {
  world.stop()
  await database.drop()
})

const PRICE = 2_000
const bidOn = async (campaign: { id: string }, input: Record<string, unknown> = {}): Promise<BidAnswer> => {
  const { decision, userErrors } = await world.bid({ campaignIds: [campaign.id], ...input })
  expect(userErrors).toEqual([])
  return decision as BidAnswer
}
const won = async (campaign: { id: string }, input: Record<string, unknown> = {}) => {
  const decision = await bidOn(campaign, input)
  expect(decision).toMatchObject({ __typename: 'Bid', price: { amountMicros: PRICE }, reserved: { amountMicros: PRICE } })
  return decision.decisionId
}
const result = async (...args: Parameters<typeof world.report>) => (await world.report(...args)).outcome?.result
const later = (seconds: number) => {
  world.clock.now = new Date(world.clock.now.getTime() + seconds * 1000)
}
const isRight = async (key: string) => {
  const audits = await world.campaigns.audit(key)
  expect(audits.length).toBeGreaterThan(0)
  for (const audit of audits) expect(audit).toMatchObject({ breaches: 0, isComplete: true, agreesWithBids: true })
  return audits
}

describe('money of one bid', () => {
  test('is reserved, held by the win, booked by the bill at its price, and the rest given back', async () => {
    const campaign = await world.campaign()
    const id = await won(campaign)
    expect(await world.ledger(campaign.key)).toMatchObject({ spent: 0, reserved: PRICE })
    expect((await world.report(id, 'WIN', { price: { amountMicros: 1_500 } })).outcome).toEqual({
      result: 'RESERVATION_HELD',
      committed: { amountMicros: 0 },
      reserved: { amountMicros: PRICE },
    })
    expect((await world.report(id, 'BILLABLE')).outcome).toEqual({
      result: 'COMMITTED',
      committed: { amountMicros: 1_500 },
      reserved: { amountMicros: 0 },
    })
    expect(await world.ledger(campaign.key)).toMatchObject({ spent: 1_500, reserved: 0 })
    await isRight(campaign.key)
  })

  test('is booked once, however often and in whatever order notices come', async () => {
    const campaign = await world.campaign()
    const id = await won(campaign)
    const price = { amountMicros: 1_000 }
    expect(await result(id, 'BILLABLE', { price })).toBe('COMMITTED')
    expect(await result(id, 'BILLABLE', { price })).toBe('DUPLICATE')
    expect(await result(id, 'BILLABLE', { price, reference: 'again' })).toBe('NO_EFFECT')
    expect(await result(id, 'WIN', { price })).toBe('NO_EFFECT')
    expect(await result(id, 'LOSS')).toBe('NO_EFFECT')
    const parallel = await won(campaign)
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) => result(parallel, index % 3 === 0 ? 'WIN' : index % 3 === 1 ? 'BILLABLE' : 'LOSS')),
    )
    expect(results.filter(each => each === 'COMMITTED').length).toBe(1)
    expect((await world.ledger(campaign.key)).spent).toBe(1_000 + PRICE)
    await isRight(campaign.key)
  })

  test('is given back by a loss; a bill that comes after all is booked if there is room', async () => {
    const campaign = await world.campaign()
    const id = await won(campaign)
    expect(await result(id, 'LOSS', { minToWin: { amountMicros: 2_500 } })).toBe('RELEASED')
    expect(await world.ledger(campaign.key)).toMatchObject({ spent: 0, reserved: 0 })
    expect(await result(id, 'WIN', { price: { amountMicros: 900 } })).toBe('RESERVATION_HELD')
    expect(await world.ledger(campaign.key)).toMatchObject({ spent: 0, reserved: PRICE })
    expect(await result(id, 'BILLABLE')).toBe('COMMITTED')
    expect(await world.ledger(campaign.key)).toMatchObject({ spent: 900, reserved: 0 })
    await isRight(campaign.key)
  })

  test('a loss after the win gives nothing back: the seller has said that it was won', async () => {
    const campaign = await world.campaign()
    const id = await won(campaign)
    await world.report(id, 'WIN')
    expect(await result(id, 'LOSS')).toBe('NO_EFFECT')
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: PRICE })
  })

  test('a win that is billed at once is booked at once', async () => {
    const campaign = await world.campaign()
    expect(await result(await won(campaign), 'WIN', { billable: true, price: { amountMicros: 0 } })).toBe('COMMITTED')
    expect(await world.ledger(campaign.key)).toMatchObject({ spent: 0, reserved: 0 })
  })

  test('comes back when nobody was heard of; a win holds it for a day', async () => {
    const campaign = await world.campaign()
    const [silent, held] = [await won(campaign, { reserveSeconds: 60 }), await won(campaign, { reserveSeconds: 60 })]
    await world.report(held, 'WIN')
    later(61)
    await world.bidding.expire()
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: PRICE })
    expect(await result(silent, 'BILLABLE')).toBe('COMMITTED')
    later(86_400)
    await world.bidding.expire()
    expect(await world.bidding.expire()).toBe(0)
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: 0, spent: PRICE })
    await isRight(campaign.key)
  })

  test('a bill that comes when the budget is used up is told, and nothing is booked', async () => {
    const campaign = await world.campaign({ budget: { amount: { amountMicros: 2 * PRICE }, deliveryMethod: 'ACCELERATED' } })
    const lost = await won(campaign, { reserveSeconds: 10 })
    later(11)
    await world.bidding.expire()
    for (const id of [await won(campaign), await won(campaign)]) expect(await result(id, 'BILLABLE')).toBe('COMMITTED')
    expect(await bidOn(campaign)).toMatchObject({ __typename: 'NoBid', reason: 'BUDGET_EXHAUSTED' })
    const { outcome, userErrors } = await world.report(lost, 'BILLABLE')
    expect(outcome).toBeNull()
    expect(userErrors).toMatchObject([{ code: 'BUDGET_EXCEEDED', field: ['decisionId'] }])
    const [audit] = await isRight(campaign.key)
    expect(audit.unfunded).toBe(1)
    expect(Number(audit.spent.amountMicros)).toBe(2 * PRICE)
  })
})

test('of 400 parallel bids as many are made as the budget holds, over several servers, and the journal proves it', async () => {
  const campaign = await world.campaign({ budget: { amount: { amountMicros: 150 * PRICE }, deliveryMethod: 'ACCELERATED' } })
  const other = biddingWorld(database)
  try {
    const ask = (server: typeof world) => server.bid({ campaignIds: [campaign.id] })
    const answers = await Promise.all(Array.from({ length: 400 }, (_, index) => ask(index % 2 === 0 ? world : other)))
    const made = answers.flatMap(({ decision }) => (decision?.__typename === 'Bid' ? [decision] : []))
    expect(made.length).toBe(150)
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: 150 * PRICE })
    const ends = ['BILLABLE', 'LOSS', 'WIN', 'BILLABLE']
    await Promise.all(made.map(({ decisionId }, index) => (index % 2 === 0 ? world : other).report(decisionId, ends[index % 4])))
    later(2 * 86_400)
    while ((await world.bidding.expire()) > 0) {}
    // The clock has moved on, and a look of the snapshot may have opened a later day.
    const audit = (await isRight(campaign.key)).at(-1)!
    expect(Number(audit.spent.amountMicros)).toBe(made.filter((_, index) => ends[index % 4] === 'BILLABLE').length * PRICE)
    expect(Number(audit.reserved.amountMicros)).toBe(0)
    expect(Number(audit.peak.amountMicros)).toBe(150 * PRICE)
  } finally {
    other.stop()
  }
})

test('a journal that was tampered with, or money without a bid, is found', async () => {
  const campaign = await world.campaign()
  await won(campaign)
  await database.sql('UPDATE "BudgetLedger" SET "reservedMicros" = "reservedMicros" + 5 WHERE "campaignId" = $1', [campaign.key])
  expect((await world.campaigns.audit(campaign.key))[0]).toMatchObject({ agreesWithBids: false, isComplete: true })
  await database.sql('DELETE FROM "LedgerEntry" WHERE "campaignId" = $1 AND seq = 2', [campaign.key])
  expect((await world.campaigns.audit(campaign.key))[0]).toMatchObject({ isComplete: false })
})

test('each day of the account has its own budget, through the change of clocks', async () => {
  const berlin = biddingWorld(database, { timeZone: 'Europe/Berlin' })
  try {
    berlin.clock.now = new Date('2026-10-24T21:59:00Z')
    const campaign = await berlin.campaign({ budget: { amount: { amountMicros: PRICE }, deliveryMethod: 'ACCELERATED' } })
    const ask = async (at: string) => {
      berlin.clock.now = new Date(at)
      await berlin.snapshots.look()
      const { decision } = await berlin.bid({ campaignIds: [campaign.id], reserveSeconds: 86_400 })
      return decision?.reason ?? decision?.__typename
    }
    expect(await ask('2026-10-24T21:59:30Z')).toBe('Bid')
    expect(await ask('2026-10-24T21:59:59.999Z')).toBe('BUDGET_EXHAUSTED')
    expect(await ask('2026-10-24T22:00:00Z')).toBe('Bid')
    expect(await ask('2026-10-25T22:59:59Z')).toBe('BUDGET_EXHAUSTED')
    expect(await ask('2026-10-25T23:00:00Z')).toBe('Bid')
    const periods = (await isRight(campaign.key)).map(({ period }) => period)
    expect(periods).toEqual(['2026-10-26', '2026-10-25', '2026-10-24'])
  } finally {
    berlin.stop()
  }
})

test('a day may spend as often its budget as maxDailyOverdelivery says, a total budget is for all days', async () => {
  const began = world.clock.now
  const bids = async (id: string, day: number) => {
    world.clock.now = new Date(began.getTime() + day * 86_400_000)
    let made = 0
    for (let count = 0; count < 8; count++) {
      await world.snapshots.look()
      if ((await world.bid({ campaignIds: [id], reserveSeconds: 86_400 })).decision?.__typename === 'Bid') made++
    }
    return made
  }
  const accelerated = (facts: object) => ({ budget: { amount: { amountMicros: 3 * PRICE }, deliveryMethod: 'ACCELERATED', ...facts } })
  try {
    const daily = await world.campaign(accelerated({ maxDailyOverdelivery: 1.5 }))
    const total = await world.campaign(accelerated({ period: 'TOTAL', maxDailyOverdelivery: 1.5 }))
    // Four bids at the price, and one of the half that is left.
    expect([await bids(daily.id, 0), await bids(daily.id, 1), await bids(total.id, 0), await bids(total.id, 1)]).toEqual([5, 5, 3, 0])
    expect(await world.ledger(daily.key)).toMatchObject({ limit: 4.5 * PRICE, reserved: 4.5 * PRICE })
    await isRight(daily.key)
    await isRight(total.key)
  } finally {
    world.clock.now = began
  }
})

test('a budget that is lowered while bids are made is never exceeded', async () => {
  const campaign = await world.campaign({ budget: { amount: { amountMicros: 100 * PRICE }, deliveryMethod: 'ACCELERATED' } })
  const bids = Array.from({ length: 120 }, () => world.bid({ campaignIds: [campaign.id] }))
  const budgets = Array.from({ length: 20 }, (_, index) =>
    world.run(`mutation ($input: CampaignBudgetSetInput!) { campaignBudgetSet(input: $input) { userErrors { code } } }`, {
      input: { campaignId: campaign.id, amount: { amountMicros: (100 - 4 * index) * PRICE } },
    }),
  )
  await Promise.all([...bids, ...budgets])
  await isRight(campaign.key)
})

test('a dry run says what a notice would do, and does none of it', async () => {
  const campaign = await world.campaign()
  const id = await won(campaign)
  const before = await world.ledger(campaign.key)
  const dry = async (type: string, facts: object = {}) => {
    const { outcome, preview, userErrors } = await world.report(id, type, { ...facts, dryRun: true })
    expect(outcome).toBeNull()
    return preview ?? userErrors[0].code
  }
  expect(await dry('BILLABLE', { price: { amountMicros: 700 } })).toMatchObject({ result: 'COMMITTED', committed: { amountMicros: 700 } })
  expect(await dry('BILLABLE', { price: { amountMicros: PRICE + 1 } })).toBe('INVALID')
  expect(await dry('CLICK')).toMatchObject({ result: 'RECORDED', reserved: { amountMicros: PRICE } })
  const unknown = Buffer.from('Decision:0190ffff-0000-7000-8000-000000000000').toString('base64url')
  expect((await world.report(unknown, 'WIN', { dryRun: true })).userErrors).toMatchObject([{ code: 'NOT_FOUND' }])
  expect(await world.ledger(campaign.key)).toEqual(before)
  expect(await result(id, 'BILLABLE', { price: { amountMicros: 700 } })).toBe('COMMITTED')
  expect(await dry('BILLABLE')).toMatchObject({ result: 'DUPLICATE', committed: { amountMicros: 700 } })
})

test('a least winning bid above the bid that won is not learned from', async () => {
  const campaign = await world.campaign()
  const minToWin = async (type: string, micros: number) => {
    const { decision } = await world.bid({ campaignIds: [campaign.id] })
    await world.report(decision!.decisionId, type, { minToWin: { amountMicros: micros } })
    const key = Buffer.from(decision!.decisionId, 'base64url').toString().slice('Decision:'.length)
    const [row] = await database.sql<{ micros: number }>('SELECT "minToWinMicros"::float8 AS micros FROM "BidReservation" WHERE id = $1', [
      key,
    ])
    return row.micros
  }
  expect(await minToWin('WIN', PRICE)).toBe(PRICE)
  expect(await minToWin('WIN', PRICE + 1)).toBeNull()
  expect(await minToWin('LOSS', PRICE + 1)).toBe(PRICE + 1)
})

describe('bad notices', () => {
  test('are refused by name, and move no money', async () => {
    const campaign = await world.campaign()
    const id = await won(campaign)
    const before = await world.ledger(campaign.key)
    const fault = async (...args: Parameters<typeof world.report>) => {
      const { outcome, userErrors } = await world.report(...args)
      expect(outcome).toBeNull()
      return [userErrors[0].code, userErrors[0].field]
    }
    const unknown = Buffer.from('Decision:0190ffff-0000-7000-8000-000000000000').toString('base64url')
    expect(await fault(unknown, 'WIN')).toEqual(['NOT_FOUND', ['decisionId']])
    expect(await fault('nonsense', 'WIN')).toEqual(['INVALID', ['decisionId']])
    expect(await fault(Buffer.from('User:1').toString('base64url'), 'WIN')).toEqual(['INVALID', ['decisionId']])
    const refused = await world.bid({ campaignIds: [Buffer.from('Campaign:none').toString('base64url')] })
    expect(await fault(refused.decision!.decisionId, 'BILLABLE')).toEqual(['NOT_FOUND', ['decisionId']])
    expect(await fault(id, 'WIN', { price: { amountMicros: PRICE + 1 } })).toEqual(['INVALID', ['price']])
    expect(await fault(id, 'BILLABLE', { price: { amountMicros: 9e15 } })).toEqual(['INVALID', ['price', 'amountMicros']])
    expect(await fault(id, 'WIN', { price: { amountMicros: -1 } })).toEqual(['INVALID', ['price', 'amountMicros']])
    const negative = await world.report(id, 'WIN', { price: { amountMicros: -1 } })
    expect(negative.userErrors[0].message).toBe('price must be zero or more, not -1 micros')
    expect(await fault(id, 'WIN', { price: { amountMicros: 1, currencyCode: 'USD' } })).toEqual(['INVALID', ['price', 'currencyCode']])
    expect(await fault(id, 'LOSS', { price: eur(1) })).toEqual(['INVALID', ['price']])
    expect(await fault(id, 'CLICK', { value: eur(1) })).toEqual(['INVALID', ['value']])
    expect(await fault(id, 'BILLABLE', { billable: true })).toEqual(['INVALID', ['billable']])
    expect(await fault(id, 'WIN', { occurredAt: new Date(Date.now() + 3_600_000).toISOString() })).toEqual(['INVALID', ['occurredAt']])
    for (const type of ['WIN', 'BILLABLE', 'LOSS', 'CLICK', 'CONVERSION'])
      expect(await fault(id, type, { occurredAt: new Date(Date.now() - 3_600_000).toISOString() })).toEqual(['INVALID', ['occurredAt']])
    expect(await world.ledger(campaign.key)).toEqual(before)
    expect(await result(id, 'BILLABLE', { price: { amountMicros: 700 } })).toBe('COMMITTED')
  })
})
