import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { pipeline } from 'node:stream'
import { createGunzip, createInflate } from 'node:zlib'
import type { FastifyInstance, FastifyRequest, RequestPayload } from 'fastify'
import { type Authenticator, requireScope, Scope } from '../graphql/auth.js'
import { encodeId } from '../graphql/node-id.js'
import { DomainError, Forbidden, InvalidInput, messageOf } from '../platform/errors.js'
import { parseJsonBody } from '../platform/json-text.js'
import type { Log } from '../platform/log.js'
import { jsonFault } from '../platform/text-input.js'
import type { BiddingRepository, OutcomeType } from './bidding.repository.js'
import type { BiddingService, BidMade, BidRequest } from './bidding.service.js'
import { blocklistOf } from './blocklist.js'
import { type BidRequestBody, bidRequestBody, countryOf, deviceOf, faultsOf, type Impression } from './openrtb-request.js'
import { privacyRefusal } from './privacy-signals.js'

interface Parts {
  bidding: BiddingService
  repository: Pick<BiddingRepository, 'firstSetting'>
  authenticator: Authenticator
  log: Log
  currency: string
  /** Where notices come back to; by default the host that was asked. */
  publicUrl?: string
}

const BODY_LIMIT = 256 * 1024
const DEEPEST = 32
const SEAT = 'bellwether'
/** `at` of a second-price auction, which is also what an absent one means. */
const SECOND_PRICE = 2
/** What our creatives are: `btype` XHTML Text Ad, and of AdCOM's creative attributes Text Only. */
const TEXT_AD = 1
const TEXT_ONLY = 12
/** What the way back may take of the seller's time. */
const MARGIN_MS = 15
/** The seller may show the ad so much later; then the money is released. */
const EXPIRES_SECONDS = 600
const NOTICES: Record<string, OutcomeType> = { win: 'WIN', billing: 'BILLABLE', loss: 'LOSS', click: 'CLICK' }
const SECRET = 'notice secret'

/**
 * POST /openrtb2/bid takes OpenRTB 2.6 bid requests: 200 with a response, or 204 with the reason in x-no-bid-reason. GET /openrtb2/notice/{win|billing|loss|click}
 * takes the notices whose URLs stand in the response; they need no key, because each is signed.
 */
export function openrtbDoor(parts: Parts) {
  const { bidding, repository, authenticator, log } = parts
  return async (server: FastifyInstance) => {
    let secret: string | undefined
    const secretOf = async () => {
      secret ??= await repository.firstSetting(SECRET, randomBytes(32).toString('base64url'))
      return secret
    }
    // Whatever a seller calls its body, it is JSON; and OpenRTB lets it be compressed.
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('*', { parseAs: 'buffer' }, parseJsonBody)
    server.addHook('preParsing', (request, _reply, payload, done) => done(null, unpacked(payload, request.headers['content-encoding'])))
    server.post('/openrtb2/bid', { bodyLimit: BODY_LIMIT }, async (request, reply) => {
      requireScope(await authenticator.authenticate(request.headers.authorization), Scope.BIDS_WRITE)
      const body = parsed(request.body)
      const startedAt = performance.now() - reply.elapsedTime
      const deadline = body.tmax === undefined ? undefined : startedAt + Math.max(0, body.tmax - MARGIN_MS)
      void reply.header('x-openrtb-version', '2.6')
      const base = parts.publicUrl ?? `${request.protocol}://${request.host}`
      const { list, rule } = blocklistOf(body)
      const known = { currency: parts.currency, deadline, privacy: privacyRefusal(body), blocklist: list, rules: rule ? [rule] : [] }
      const answers = await Promise.all(body.imp.map(imp => bidding.decide(requestOf(body, imp, known))))
      const bids = answers.flatMap((made, index) => (made.kind === 'bid' ? [{ made, imp: body.imp[index] }] : []))
      if (bids.length === 0) {
        const reasons = [...new Set(answers.map(made => (made.kind === 'none' ? made.reason : '')))]
        return reply.code(204).header('x-no-bid-reason', reasons.join(', ').slice(0, 200)).send()
      }
      const key = await secretOf()
      const bid = bids.map(({ made, imp }) => bidOf(made, imp, base, key))
      return reply.send({ id: body.id, bidid: bids[0].made.decisionKey, cur: parts.currency, seatbid: [{ seat: SEAT, bid }] })
    })
    server.get('/openrtb2/notice/:type', async (request, reply) => {
      const { type } = request.params as { type: string }
      const outcome = Object.hasOwn(NOTICES, type) ? NOTICES[type] : undefined
      if (!outcome)
        throw new InvalidInput(`There is no notice ${type.slice(0, 40)}; there are ${Object.keys(NOTICES).join(', ')}`, {}, ['type'])
      const query = request.query as Record<string, string | undefined>
      checkSignature(query, type, await secretOf())
      await take(outcome, query, request)
      if (outcome !== 'CLICK') return reply.code(204).send()
      return isPage(query.to) ? reply.redirect(query.to) : reply.code(204).send()
    })
  }

  /** A notice that cannot be taken is the seller's to know, but for the click: the visitor goes on to the shop. */
  async function take(type: OutcomeType, query: Record<string, string | undefined>, request: FastifyRequest): Promise<void> {
    try {
      await bidding.outcome({
        id: String(query.d),
        type,
        reference: type === 'CLICK' ? request.id : '',
        micros: type === 'WIN' || type === 'BILLABLE' ? microsOf(query.p, 'p') : null,
        minToWinMicros: type === 'CLICK' ? null : microsOf(query.m, 'm'),
        isBilled: false,
        at: new Date(),
      })
    } catch (error) {
      if (type !== 'CLICK' || !(error instanceof DomainError)) throw error
      log.warn('a click was not recorded', { error: messageOf(error) })
    }
  }
}

/** The body as it was before it was compressed; what it may hold at most is counted after. */
function unpacked(payload: RequestPayload, encoding: string | undefined): RequestPayload {
  if (encoding === undefined || encoding === 'identity') return payload
  if (encoding !== 'gzip' && encoding !== 'deflate')
    throw new InvalidInput(`content-encoding must be gzip or deflate, not ${encoding.slice(0, 40)}`, {}, ['content-encoding'])
  const plain = encoding === 'gzip' ? createGunzip() : createInflate()
  const whole: RequestPayload = Object.assign(
    pipeline(payload, plain, () => {}),
    { receivedEncodedLength: 0 },
  )
  payload.on('data', (chunk: Buffer) => {
    whole.receivedEncodedLength = (whole.receivedEncodedLength ?? 0) + chunk.length
  })
  return whole
}

function parsed(body: unknown): BidRequestBody {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new InvalidInput('The body must be an OpenRTB bid request', {}, ['body'])
  const fault = jsonFault(body, DEEPEST)
  if (fault) throw new InvalidInput(`The body ${fault}`, {}, ['body'])
  const result = bidRequestBody.safeParse(body)
  if (result.success) return result.data
  // Some sellers write null where there is nothing.
  const again = bidRequestBody.safeParse(withoutNulls(body))
  if (again.success) return again.data
  const faults = faultsOf(again.error)
  throw new InvalidInput(
    `No OpenRTB 2.6 bid request: ${faults.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    { faults },
    faults[0].path.split('.'),
  )
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter(each => each !== null).map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).flatMap(([name, each]) => (each === null ? [] : [[name, withoutNulls(each)]])))
}

/** One impression of a request; what is the same for all of them is known already. */
function requestOf(
  body: BidRequestBody,
  imp: Impression,
  {
    currency,
    rules,
    deadline,
    privacy,
    blocklist,
  }: Pick<BidRequest, 'deadline' | 'privacy' | 'blocklist'> & { currency: string; rules: readonly string[] },
): BidRequest {
  const { site, app, dooh, device, user } = body
  const place = site ?? app ?? dooh
  const floor = Math.ceil((imp.bidfloor ?? 0) * 1_000)
  const deals = imp.pmp?.deals?.length ?? 0
  return {
    deadline,
    privacy,
    blocklist,
    user: user?.buyeruid || user?.id || null,
    context: {
      placement: imp.tagid ?? null,
      device: deviceOf(device?.devicetype),
      country: countryOf(device?.geo?.country),
      categories: [
        ...new Set([...(place?.cat ?? []), ...(place?.sectioncat ?? []), ...(place?.pagecat ?? []), ...(place?.content?.cat ?? [])]),
      ],
      domain: site?.domain ?? app?.bundle ?? null,
      os: device?.os ?? null,
      language: device?.language ?? place?.content?.language ?? null,
      position: imp.banner?.pos ?? null,
    },
    // Of an exchange's own kind nothing is known: what was bid may have to be paid.
    auction: (body.at ?? SECOND_PRICE) === SECOND_PRICE ? 'SECOND_PRICE' : 'FIRST_PRICE',
    // Prices are for a thousand impressions there, and for one here.
    floorMicros: floor,
    ceilingMicros: Number.POSITIVE_INFINITY,
    reserveSeconds: Math.max(EXPIRES_SECONDS, (imp.exp ?? 0) + 60),
    // A test is answered like any other request, and costs nothing.
    isDry: body.test === 1,
    refusal: refusalOf(body, imp, currency),
    rules: deals > 0 ? [...rules, `${deals} deals were ignored: bids are for the open auction only`] : rules,
  }
}

/** Why nothing can be bid on this impression, whoever wants it. */
function refusalOf({ cur, wseat, bseat, tmax }: BidRequestBody, imp: Impression, currency: string): string | undefined {
  if (cur?.length && !cur.some(code => code.toUpperCase() === currency)) return 'CURRENCY_NOT_ACCEPTED'
  if (imp.bidfloor && (imp.bidfloorcur ?? 'USD').toUpperCase() !== currency) return 'FLOOR_IN_OTHER_CURRENCY'
  if (imp.pmp?.private_auction === 1) return 'DEALS_NOT_SUPPORTED'
  if (!imp.banner) return 'NO_BANNER'
  if (imp.banner.btype?.includes(TEXT_AD) || imp.banner.battr?.includes(TEXT_ONLY)) return 'TEXT_ADS_BLOCKED'
  if (wseat?.length && !wseat.includes(SEAT)) return 'SEAT_NOT_ALLOWED'
  if (bseat?.includes(SEAT)) return 'SEAT_BLOCKED'
  if (tmax !== undefined && tmax <= MARGIN_MS) return 'TIMEOUT'
  return undefined
}

function bidOf({ decisionKey, campaignKey, ad, priceMicros }: BidMade, imp: Impression, base: string, secret: string) {
  const { w, h } = imp.banner?.w && imp.banner.h ? imp.banner : (imp.banner?.format?.[0] ?? {})
  const notice = (type: string, macros: string, to = '') =>
    `${base}/openrtb2/notice/${type}?d=${decisionKey}&s=${signature(type, decisionKey, to, secret)}${macros}`
  const to = ad.url && isPage(ad.url) ? ad.url : ''
  const click = notice('click', to && `&to=${encodeURIComponent(to)}`, to)
  return {
    id: decisionKey,
    impid: imp.id,
    price: priceMicros / 1_000,
    nurl: notice('win', `&p=${macro('AUCTION_PRICE')}&m=${macro('AUCTION_MIN_TO_WIN')}`),
    burl: notice('billing', `&p=${macro('AUCTION_PRICE')}`),
    lurl: notice('loss', `&m=${macro('AUCTION_MIN_TO_WIN')}&r=${macro('AUCTION_LOSS')}`),
    adm: `<a href="${escapeHtml(click)}" target="_blank" rel="noopener">${escapeHtml(ad.headline)}</a>`,
    ...(ad.domain ? { adomain: [ad.domain] } : {}),
    ...(ad.app ? { bundle: ad.app } : {}),
    ...(ad.iabCategories.length > 0 ? { cat: ad.iabCategories, cattax: 1 } : {}),
    attr: [TEXT_ONLY],
    cid: encodeId('Campaign', campaignKey),
    crid: encodeId('Ad', ad.id),
    adid: encodeId('Ad', ad.id),
    mtype: 1,
    exp: EXPIRES_SECONDS,
    ...(w && h ? { w, h } : {}),
  }
}

/** Covers where a click leads, so that nobody can send visitors elsewhere through us. */
function signature(type: string, decisionKey: string, to: string, secret: string): string {
  return createHmac('sha256', secret).update(`${type}:${decisionKey}:${to}`).digest('base64url').slice(0, 22)
}

function checkSignature({ d, s, to = '' }: Record<string, string | undefined>, type: string, secret: string): void {
  if (typeof d !== 'string' || !/^[0-9a-f-]{36}$/.test(d)) throw new InvalidInput('d is not the id of a bid', {}, ['d'])
  const [given, right] = [Buffer.from(String(s)), Buffer.from(signature(type, d, to, secret))]
  if (given.length !== right.length || !timingSafeEqual(given, right)) throw new Forbidden('This notice is not signed by us')
}

/** A price for a thousand impressions, as macros bring it, in micros for one; an unreplaced or empty macro is no price. */
function microsOf(given: string | undefined, field: string): bigint | null {
  if (given === undefined || given === '' || given.includes('{')) return null
  const price = Number(given)
  if (!(price >= 0 && price <= 1e9)) throw new InvalidInput(`${field} must be a price, not ${given.slice(0, 40)}`, {}, [field])
  return BigInt(Math.round(price * 1_000))
}

function isPage(url: string | undefined): url is string {
  return url !== undefined && /^https?:\/\//i.test(url) && URL.canParse(url)
}

/** A substitution macro of OpenRTB. */
function macro(name: string): string {
  return `\${${name}}`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
