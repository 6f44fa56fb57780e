import { deflateSync, gzipSync } from 'node:zlib'
import { GppModel } from '@iabgpp/cmpapi'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { gppRefusal, purposesOf } from '../../src/bidding/privacy-signals.js'
import { documents, eur, type Payload } from '../support/ads.js'
import { startTestApp, type TestApp } from '../support/app.js'

let api: TestApp
let campaign: Payload['campaign']

const run = async (source: string, input: Record<string, unknown>) => {
  const { data, errors } = await api.as('campaign').run(source, { input })
  if (errors) throw new Error(JSON.stringify(errors))
  return Object.values(data as object)[0] as Payload
}
const makeCampaign = async (facts: Record<string, unknown> = {}, ad: Record<string, unknown> = {}) => {
  const made = await run(documents.create, {
    name: 'RTB',
    budget: { amount: eur(100) },
    biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) },
    ...facts,
  })
  const { adGroup } = await run(documents.adGroup, { campaignId: made.campaign.id, name: 'All' })
  await run(documents.ad, { adGroupId: adGroup.id, headline: 'Shoes <for> "all" & more', productExternalId: 'p-1', ...ad })
  await run(documents.enable, { campaignId: made.campaign.id })
  await api.app.snapshots.look()
  return made.campaign
}

beforeAll(async () => {
  api = await startTestApp()
  const { database } = api.app
  await database.sql(
    `INSERT INTO "Product" ("externalId", title, categories, "priceMicros", "currencyCode", stock, attributes) VALUES ('p-1', 'Shoes', '{shoes}', 50000000, 'EUR', 3, '{"url": "https://www.shop.example/shoes?a=1"}'),
     ('app', 'Our app', '{IAB9-30,shoes}', NULL, 'EUR', NULL, '{"url": "https://play.google.com/store/apps/details?id=com.shop.example"}')`,
  )
  await database.sql(`INSERT INTO "User" (id, "externalId") VALUES (1, 'u-1'), (2, 'u-2')`)
  await database.sql(`INSERT INTO "Consent" ("userId", purpose, granted, at, source) VALUES (1, 'ADS', true, now(), 't')`)
  await database.sql(`INSERT INTO "Audience" (id, name, source, definition, status, size) VALUES ('in', 'In', 'SEGMENT', '{}', 'READY', 1)`)
  await database.sql(`INSERT INTO "AudienceMember" ("audienceId", "userId") VALUES ('in', 1), ('in', 2)`)
  campaign = await makeCampaign()
})
afterAll(() => api.close())

const PRICE = `\${${'AUCTION_PRICE'}}`
const REQUEST = {
  id: 'req-1',
  imp: [{ id: '1', banner: { w: 300, h: 250 }, bidfloor: 0.5, bidfloorcur: 'EUR', tagid: 'top' }],
  site: { domain: 'news.example', cat: ['IAB1'], unheardOf: { deep: [1, 2] } },
  device: { devicetype: 4, geo: { country: 'DEU' }, os: 'Android' },
  user: { buyeruid: 'u-1' },
  at: 2,
  cur: ['EUR'],
  source: { tid: 'x' },
  ext: { whatever: true },
}
const post = (body: unknown, headers: Record<string, string> = { authorization: `Bearer ${api.keys.campaign}` }) =>
  fetch(`${api.url}/openrtb2/bid`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
const bid = async (changes: Record<string, unknown> = {}) => {
  const response = await post({ ...REQUEST, ...changes })
  const text = await response.text()
  return {
    status: response.status,
    reason: response.headers.get('x-no-bid-reason'),
    body: text ? JSON.parse(text) : null,
    version: response.headers.get('x-openrtb-version'),
  }
}
const noBid = async (changes: Record<string, unknown>) => {
  const { status, reason, body } = await bid(changes)
  expect([status, body]).toEqual([204, null])
  return reason
}
const ledger = async () => {
  const [row] = await api.app.database.sql<{ spent: number; reserved: number }>(
    `SELECT sum("spentMicros")::float8 AS spent, sum("reservedMicros")::float8 AS reserved FROM "BudgetLedger"`,
  )
  return row
}

test('counts a bid once among the requests over HTTP', async () => {
  const counted = async () => {
    const text = await (await fetch(`${api.url}/metrics`)).text()
    return Number(/^bellwether_http_request_seconds_count\{[^}]*route="\/openrtb2\/bid",status="204"[^}]*\} (\d+)$/m.exec(text)?.[1] ?? 0)
  }
  const before = await counted()
  expect((await bid({ cur: ['XTS'] })).status).toBe(204)
  expect(await counted()).toBe(before + 1)
})

describe('a bid', () => {
  test('has the shape of OpenRTB 2.6, a price for a thousand, and signed notices', async () => {
    const { status, body, version } = await bid()
    expect([status, version]).toEqual([200, '2.6'])
    const [made] = body.seatbid[0].bid
    expect(body).toMatchObject({ id: 'req-1', cur: 'EUR', seatbid: [{ seat: 'bellwether' }] })
    expect(made).toMatchObject({ impid: '1', price: 2, adomain: ['shop.example'], cid: campaign.id, w: 300, h: 250, mtype: 1, exp: 600 })
    expect(made.adm).toContain('Shoes &#60;for&#62; &#34;all&#34; &#38; more')
    expect(made.nurl).toContain(PRICE)
    expect(await ledger()).toMatchObject({ reserved: 2_000 })
    const call = (url: string, values: Record<string, string>) =>
      fetch(
        url.replace(/\$\{(\w+)\}/g, (_, name) => values[name] ?? ''),
        { redirect: 'manual' },
      )
    expect((await call(made.nurl, { AUCTION_PRICE: '1.2', AUCTION_MIN_TO_WIN: '1.1' })).status).toBe(204)
    expect((await call(made.burl, { AUCTION_PRICE: '1.2' })).status).toBe(204)
    expect((await call(made.burl, { AUCTION_PRICE: '1.2' })).status).toBe(204)
    expect((await call(made.lurl, {})).status).toBe(204)
    expect(await ledger()).toEqual({ spent: 1_200, reserved: 0 })
    const clicked = /href="([^"]+)"/.exec(made.adm)?.[1].replace(/&#38;/g, '&') as string
    const response = await call(clicked, {})
    expect([response.status, response.headers.get('location')]).toEqual([302, 'https://www.shop.example/shoes?a=1'])
    const [row] = await api.app.database.sql<{ clicked: boolean; cost: number; min: number }>(
      'SELECT e.clicked, e."costMicros"::float8 AS cost, r."minToWinMicros"::float8 AS min FROM "AdLogEntry" e JOIN "BidReservation" r ON r.id = e."decisionId" WHERE e."decisionId" = $1',
      [made.id],
    )
    expect(row).toEqual({ clicked: true, cost: 1_200, min: 1_100 })
    for (const forged of [
      clicked.replace(encodeURIComponent('shop.example'), 'evil.example'),
      made.burl.replace('&s=', '&s=x'),
      made.nurl.replace('notice/win', 'notice/billing'),
    ])
      expect((await call(forged, { AUCTION_PRICE: '0' })).status).toBe(403)
    expect((await call(made.burl.replace('billing', 'nonsense'), {})).status).toBe(400)
    expect((await call(made.nurl, { AUCTION_PRICE: 'free' })).status).toBe(400)
  })

  test('a price above the bid is refused, and moves no money', async () => {
    const { body } = await bid()
    const before = await ledger()
    const response = await fetch(body.seatbid[0].bid[0].burl.replace(PRICE, '2.001'))
    expect(response.status).toBe(400)
    expect((await response.json()).error).toContain('above the bid')
    expect(await ledger()).toEqual(before)
  })

  test('is made for every impression that takes one, and for others not', async () => {
    const imp = [
      ...REQUEST.imp,
      { id: '2', video: { mimes: ['video/mp4'] } },
      { id: '3', banner: { format: [{ w: 728, h: 90 }] } },
      { id: '4', banner: {}, bidfloor: 9, bidfloorcur: 'EUR' },
    ]
    const { body } = await bid({ imp })
    expect(body.seatbid[0].bid.map(({ impid, w }: { impid: string; w: number }) => [impid, w])).toEqual([
      ['1', 300],
      ['3', 728],
    ])
  })

  test.each([
    [undefined, 'SECOND_PRICE'],
    [1, 'FIRST_PRICE'],
    [2, 'SECOND_PRICE'],
    [3, 'FIRST_PRICE'],
    [501, 'FIRST_PRICE'],
  ])('at %s is a %s auction; where the rule is the exchange’s own, the bid is what may have to be paid', async (at, auction) => {
    const { body } = await bid({ at })
    const rows = await api.app.database.sql('SELECT auction FROM "BidReservation" WHERE id = $1', [body.seatbid[0].bid[0].id])
    expect(rows).toEqual([{ auction }])
  })

  test('is made whatever the body is called, also compressed, and null is nothing', async () => {
    const text = JSON.stringify({
      ...REQUEST,
      device: { geo: null, os: null },
      site: null,
      tmax: null,
      bcat: null,
      imp: [{ ...REQUEST.imp[0], pmp: null }],
    })
    const send = (body: BodyInit, headers: Record<string, string>) =>
      fetch(`${api.url}/openrtb2/bid`, { method: 'POST', headers: { authorization: `Bearer ${api.keys.campaign}`, ...headers }, body })
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8'])
      expect((await send(text, { 'content-type': type })).status).toBe(200)
    const json = { 'content-type': 'application/json' }
    expect((await send(gzipSync(text), { ...json, 'content-encoding': 'gzip' })).status).toBe(200)
    expect((await send(deflateSync(text), { ...json, 'content-encoding': 'deflate' })).status).toBe(200)
    expect((await send(text, { ...json, 'content-encoding': 'br' })).status).toBe(400)
    expect((await send(text, { ...json, 'content-encoding': 'gzip' })).status).toBe(400)
    // A small body that is a large one: what it may hold at most is counted after.
    expect((await send(gzipSync('x'.repeat(50_000_000)), { ...json, 'content-encoding': 'gzip' })).status).toBe(413)
  })

  test('a test costs nothing', async () => {
    const before = await ledger()
    expect((await bid({ test: 1 })).status).toBe(200)
    expect(await ledger()).toEqual(before)
  })
})

describe('204 without a bid', () => {
  test.each([
    [{ cur: ['USD'] }, 'CURRENCY_NOT_ACCEPTED'],
    [{ imp: [{ id: '1', banner: {}, bidfloor: 1, bidfloorcur: 'USD' }] }, 'FLOOR_IN_OTHER_CURRENCY'],
    [{ imp: [{ id: '1', banner: {}, bidfloor: 2.01, bidfloorcur: 'EUR' }] }, 'BELOW_FLOOR'],
    [{ imp: [{ id: '1', banner: {}, pmp: { private_auction: 1, deals: [{ id: 'd' }] } }] }, 'DEALS_NOT_SUPPORTED'],
    [{ imp: [{ id: '1', native: { request: '{}' } }] }, 'NO_BANNER'],
    [{ wseat: ['other'] }, 'SEAT_NOT_ALLOWED'],
    [{ bseat: ['bellwether'] }, 'SEAT_BLOCKED'],
    [{ badv: ['SHOP.example'] }, 'BLOCKED_ADVERTISER'],
    [{ badv: ['www.shop.example '] }, 'BLOCKED_ADVERTISER'],
    [{ badv: ['other.example', 'example'] }, 'BLOCKED_ADVERTISER'],
    [{ tmax: 1 }, 'TIMEOUT'],
  ])('%j says %s', async (changes, reason) => {
    expect(await noBid(changes)).toBe(reason)
  })

  test('who is blocked is a domain with all below it, not what sounds alike', async () => {
    expect((await bid({ badv: ['m.shop.example', 'op.example', 'shop.exampl', ''] })).status).toBe(200)
  })

  test.each([
    [{ imp: [{ id: '1', banner: { battr: [3, 12] } }] }, 'TEXT_ADS_BLOCKED'],
    [{ bcat: ['IAB22'] }, 'BLOCKED_CATEGORY'],
    [{ bcat: ['iab22-3 '], cattax: 1 }, 'BLOCKED_CATEGORY'],
    [{ acat: ['IAB1'] }, 'CATEGORY_NOT_ALLOWED'],
    [{ acat: ['IAB22'] }, 'CATEGORY_NOT_ALLOWED'],
    [{ acat: ['1001'], cattax: 7 }, 'CATEGORY_NOT_ALLOWED'],
    [{ bapp: ['COM.shop.example'] }, 'BLOCKED_APP'],
  ])('%j says %s to an ad that is labelled', async (changes, reason) => {
    await run(documents.pause, { campaignId: campaign.id })
    const labelled = await makeCampaign({}, { iabCategories: ['IAB22-3', 'iab18'], productExternalId: 'app' })
    try {
      expect(await noBid(changes)).toBe(reason)
      const { status, body } = await bid({
        bcat: ['IAB2', 'IAB22-1', 'IAB18-1', 'nonsense'],
        acat: ['IAB22-3', 'IAB18', 'IAB9'],
        bapp: ['com.shop'],
      })
      expect([status, body.seatbid[0].bid[0]]).toMatchObject([
        200,
        { cat: ['IAB22-3', 'IAB18', 'IAB9-30'], cattax: 1, attr: [12], bundle: 'com.shop.example', adomain: ['play.google.com'] },
      ])
    } finally {
      await run(documents.pause, { campaignId: labelled.id })
      await run(documents.enable, { campaignId: campaign.id })
      await api.app.snapshots.look()
    }
  })

  test('categories of a taxonomy that ads do not carry block nothing, and the decision says so', async () => {
    const { body } = await bid({ bcat: ['1001'], cattax: 7 })
    const decision = await api.app.decisions.find(body.seatbid[0].bid[0].id)
    expect(decision?.rules).toContain('bcat could not be obeyed: it is in taxonomy 7, and ads carry IAB Content Taxonomy 1.0')
  })

  test('of an answer that would come too late nothing is held', async () => {
    const before = await ledger()
    // One millisecond is what the way back leaves: over by the time the bid is made.
    expect(await noBid({ tmax: 16 })).toBe('TIMEOUT')
    expect(await ledger()).toEqual(before)
  })

  test('an open deal is ignored with a reason', async () => {
    const { body } = await bid({ imp: [{ id: '1', banner: {}, pmp: { private_auction: 0, deals: [{ id: 'd' }] } }] })
    const decision = await api.app.decisions.find(body.seatbid[0].bid[0].id)
    expect(decision?.rules).toContain('1 deals were ignored: bids are for the open auction only')
  })
})

describe('privacy signals', () => {
  // Purposes 1 to 10 of a consent string, and the same without purpose 4.
  const tcf = (purposes: number[]) => {
    const bits = new Uint8Array(30)
    const set = (at: number) => {
      bits[at >> 3] |= 1 << (7 - (at & 7))
    }
    set(4)
    for (const purpose of purposes) set(152 + purpose - 1)
    return Buffer.from(bits).toString('base64url')
  }
  const all = tcf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  let personal: Payload['campaign']
  beforeAll(async () => {
    await run(documents.pause, { campaignId: campaign.id })
    personal = await makeCampaign({ audienceId: Buffer.from('Audience:in').toString('base64url') })
  })
  afterAll(async () => {
    await run(documents.pause, { campaignId: personal.id })
    await run(documents.enable, { campaignId: campaign.id })
    await api.app.snapshots.look()
  })

  test('a campaign names whom it addresses, and none where it is everybody', async () => {
    const { data, errors } = await api.as('campaign').run('{ campaigns(first: 10) { nodes { id audience { name size } } } }')
    expect(errors).toBeUndefined()
    const nodes = (data as unknown as { campaigns: { nodes: { id: string; audience: unknown }[] } }).campaigns.nodes
    expect(nodes.find(({ id }) => id === personal.id)?.audience).toEqual({ name: 'In', size: 1 })
    expect(nodes.find(({ id }) => id === campaign.id)?.audience).toBeNull()
  })

  test('consent of ours and of the request are both needed', async () => {
    expect((await bid()).status).toBe(200)
    expect((await bid({ regs: { gdpr: 1 }, user: { buyeruid: 'u-1', consent: all } })).status).toBe(200)
    expect((await bid({ regs: { ext: { gdpr: 1 } }, user: { buyeruid: 'u-1', ext: { consent: all } } })).status).toBe(200)
    expect((await bid({ regs: { us_privacy: '1YNN' } })).status).toBe(200)
    expect((await bid({ regs: { ext: { gpc: '0' } }, device: { ext: { atts: 3 } } })).status).toBe(200)
    expect(await noBid({ user: { buyeruid: 'u-2' } })).toBe('CONSENT_MISSING')
    expect(await noBid({ user: {} })).toBe('CONSENT_MISSING')
  })

  test.each([
    { regs: { coppa: 1 } },
    { regs: { gdpr: 1 } },
    { regs: { gdpr: 1 }, user: { buyeruid: 'u-1', consent: tcf([1, 2, 3]) } },
    { regs: { gdpr: 1 }, user: { buyeruid: 'u-1', consent: 'nonsense' } },
    { regs: { gdpr: 1 }, user: { buyeruid: 'u-1', consent: '!!!' } },
    { regs: { ext: { gdpr: 1 } } },
    { regs: { ext: { gdpr: 'yes' } } },
    { regs: { us_privacy: '1YYN' } },
    { regs: { gpp: 'DBABMA~x', gpp_sid: [7] } },
    { device: { lmt: 1 } },
    { device: { dnt: 1 } },
    { device: { ext: { atts: 2 } } },
    { regs: { ext: { gpc: '1' } } },
  ])('%j forbids what is personal', async changes => {
    expect(await noBid(changes)).toBe('CONSENT_MISSING')
  })

  const gpp = (fields: [section: string, field: string, value: unknown][]) => {
    const model = new GppModel()
    for (const [section, field, value] of fields) model.setFieldValue(section, field, value)
    return model.encode()
  }
  const inUse = ['SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut'].map(field => ['usnat', field, 2] as [string, string, unknown])

  test('a GPP string that forbids nothing allows what is personal, one that opts out does not', async () => {
    expect((await bid({ regs: { gpp: gpp(inUse), gpp_sid: [7] } })).status).toBe(200)
    expect(await noBid({ regs: { gpp: gpp([...inUse, ['usnat', 'SaleOptOut', 1]]), gpp_sid: [7] } })).toBe('CONSENT_MISSING')
    expect(await noBid({ regs: { ext: { gpp: gpp([['usca', 'SharingOptOut', 1]]) } } })).toBe('CONSENT_MISSING')
  })

  test.each([
    ['no opt-out', inUse, [7], null],
    [
      'targeted advertising',
      [...inUse, ['usnat', 'TargetedAdvertisingOptOut', 1]],
      [7],
      'The person chose TargetedAdvertisingOptOut in section 7',
    ],
    ['global privacy control', [...inUse, ['usnat', 'Gpc', true]], [], 'The browser sends the Global Privacy Control in section 7'],
    ['a child', [...inUse, ['usnat', 'KnownChildSensitiveDataConsents', [0, 1, 0]]], [7], 'The person is known to be a child in section 7'],
    ['a state that does not apply', [...inUse, ['usca', 'SaleOptOut', 1]], [7], null],
    ['a state that does', [...inUse, ['usca', 'SaleOptOut', 1]], [7, 8], 'The person chose SaleOptOut in section 8'],
    ['no section that applies', [...inUse, ['usnat', 'SaleOptOut', 1]], [-1], null],
    ['a section that is not there', inUse, [9], 'Section 9 of the GPP string applies and cannot be read'],
    ['the United States as they were', [['uspv1', 'OptOutSale', 'Y']], [6], 'The person opted out of sale in section 6'],
    ['Europe', [['tcfeuv2', 'PurposeConsents', [true, false, true, true]]], [2], null],
    [
      'Europe without a profile',
      [['tcfeuv2', 'PurposeConsents', [true, false, false, true]]],
      [2],
      'Purpose 3 is not allowed in section 2',
    ],
    [
      'Canada, partly implied',
      [
        ['tcfcav1', 'PurposesExpressConsent', [true]],
        ['tcfcav1', 'PurposesImpliedConsent', [false, false, true, true]],
      ],
      [5],
      null,
    ],
  ] as [string, [string, string, unknown][], number[], string | null][])('GPP: %s', (_, fields, applying, refusal) => {
    for (let again = 0; again < 2; again++) expect(gppRefusal(gpp(fields), applying)).toBe(refusal)
  })

  test.each(['x', 'DBABMA~', 'DBABLA~@@@', 'DBAC~~~~', 'A'.repeat(3_000), 'A'.repeat(10_000), 'DBAA'.repeat(500)])(
    'a GPP string that cannot be read forbids (%#)',
    given => {
      expect(gppRefusal(given, [])).toMatch(/can(not)? be read|too long/)
    },
  )

  test('a real consent string is read as its specification says', () => {
    // The example of the IAB's own documentation.
    expect([...(purposesOf('COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA') ?? [])]).toEqual([2, 10])
    expect(purposesOf('BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA')).toBeUndefined()
  })
})

describe('bad input', () => {
  let before: Awaited<ReturnType<typeof ledger>>
  beforeEach(async () => {
    before = await ledger()
  })
  test.each([
    ['no JSON', '{', 'not JSON'],
    ['an array', [], 'must be an OpenRTB bid request'],
    ['no imp', { id: '1' }, 'imp: '],
    ['an empty imp', { id: '1', imp: [] }, 'imp: '],
    ['no id', { imp: REQUEST.imp }, 'id: '],
    ['a negative floor', { id: '1', imp: [{ id: '1', banner: {}, bidfloor: -1 }] }, 'imp.0.bidfloor'],
    ['an imp without id', { id: '1', imp: [{ banner: {} }] }, 'imp.0.id'],
    ['two of one id', { ...REQUEST, imp: [REQUEST.imp[0], { id: '2', banner: {} }, REQUEST.imp[0]] }, 'imp.2.id: Two impressions'],
    ['a flag that is none', { ...REQUEST, test: 2 }, 'test'],
    ['too many impressions', { id: '1', imp: Array.from({ length: 101 }, (_, index) => ({ id: String(index), banner: {} })) }, 'imp'],
    ['huge lists', { ...REQUEST, bcat: Array.from({ length: 5_000 }, () => 'IAB1') }, 'bcat'],
    ['a name for an id', { ...REQUEST, user: { buyeruid: { $ne: 1 } } }, 'user.buyeruid'],
  ])('%s is 400 and names the place', async (_, body, place) => {
    const response = await post(body)
    expect(response.status).toBe(400)
    expect((await response.json()).error).toContain(place)
    expect(await ledger()).toEqual(before)
  })

  test('a body that is too large is 413, a deep one 400, and no key is 401', async () => {
    expect((await post({ ...REQUEST, ext: 'x'.repeat(300_000) })).status).toBe(413)
    const deep = JSON.parse(`${'{"a":'.repeat(200)}1${'}'.repeat(200)}`)
    expect((await post({ ...REQUEST, ext: deep })).status).toBe(400)
    expect((await post(REQUEST, {})).status).toBe(401)
    expect((await post(REQUEST, { authorization: `Bearer ${api.keys.chatbot}` })).status).toBe(403)
  })

  test('text that cannot be stored is refused', async () => {
    for (const user of [{ buyeruid: 'a\u0000b' }, { buyeruid: '\ud800' }]) expect((await post({ ...REQUEST, user })).status).toBe(400)
    expect((await post({ ...REQUEST, site: { domain: 'a\u0000b' } })).status).toBe(400)
  })
})
