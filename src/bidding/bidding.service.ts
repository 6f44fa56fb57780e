import { LRUCache } from 'lru-cache'
import { type BidAnswer, bidAndWorth, createOpportunity, decide, type Opportunity } from '../algorithms/bidding/strategy.js'
import { isInHours, mismatch, type ReadyContext, readyContext } from '../campaigns/targeting.js'
import type { AccountCalendar, LocalMoment } from '../campaigns/time-zone.js'
import { InvalidInput, NotFound } from '../platform/errors.js'
import type { Metrics } from '../platform/metrics.js'
import { v7 } from '../platform/uuid.js'
import { type Decisions, type Dropped, decisionRow, lineOf, linesOf } from '../registry/decisions.js'
import type { BidVisitor, BidVisitorsRepository } from './bid-visitors.repository.js'
import type { BiddingRepository, Notice, Settled } from './bidding.repository.js'
import { type Blocklist, blockedBecause } from './blocklist.js'
import { ageOf, type ContextFacts } from './features.js'
import type { Predictions, Predictor } from './predictor.js'
import type { AdLine, CampaignLine, Snapshot, Snapshots } from './snapshot.js'

/** One impression for sale, already checked by its door. */
export interface BidRequest {
  /** External or internal id of the person, if the request names one. */
  user: string | number | null
  /** Why nothing of the person may be used, from the request's own privacy signals; null when they allow it. */
  privacy: string | null
  context: ContextFacts & { categories?: readonly string[] }
  auction: Opportunity['auction']
  floorMicros: number
  ceilingMicros: number
  /** Only these campaigns, by key. */
  campaignKeys?: ReadonlySet<string>
  /** Predictions of the caller's own. */
  pCtr?: number
  pCvr?: number
  reserveSeconds: number
  /** `performance.now()` after which an answer is of no use. */
  deadline?: number
  /** Everything but the effect. */
  isDry: boolean
  /** A bid that may not be placed although all is well with the campaigns, with the reason. */
  refusal?: string
  rules?: readonly string[]
  /** What the seller does not take. */
  blocklist?: Blocklist
}

export interface BidMade {
  kind: 'bid'
  decisionKey: string
  campaignKey: string
  ad: AdLine
  priceMicros: number
  pCtr: number
  pCvr: number
  multiplier: number
  reservedMicros: number
  expiresAt: Date
  /** Parts of the price and of its predictions, as decisions keep them. */
  explanation: string
}

export interface NoBidMade {
  kind: 'none'
  decisionKey: string
  reason: string
}

interface Candidate {
  ad: AdLine
  /** Place among the ads that were predicted. */
  at: number
  worthMicros: number
}

interface Trail {
  rules: string[]
  counts: Record<string, number>
  examples: Dropped[]
}

interface Parts {
  repository: BiddingRepository
  visitors: Pick<BidVisitorsRepository, 'find' | 'withShown'>
  snapshots: Snapshots
  predictor: Predictor
  decisions: Pick<Decisions, 'record'>
  calendar: AccountCalendar
  metrics: Pick<Metrics, 'model'>
  now?(): Date
}

/** A look at more ads than this per request would not fit its time; the ones with the best records are looked at. */
const MOST_ADS = 400
const TRIES = 4
const EXAMPLES = 20
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
/** Of whom it is looked up first what was shown, and how long after a campaign was found to be shown often enough. */
const REMEMBERED_CAPPED = 50_000
const CAPPED_MS = 60_000

/** Asks for a bid, and hears what came of it. Which campaign bids, for whom and how much is decided in memory; whether there is money, by the database. */
export class BiddingService {
  /** Who had seen a campaign often enough of late. */
  private readonly capped = new LRUCache<number, true>({ max: REMEMBERED_CAPPED, ttl: CAPPED_MS })
  private readonly opportunity = createOpportunity()
  private readonly rank = { worthMicros: 0 }
  private minute = -1
  private moment: LocalMoment = { date: '', weekday: 1, hour: 0 }

  constructor(private readonly parts: Parts) {}

  async decide(request: BidRequest): Promise<BidMade | NoBidMade> {
    const { visitors, snapshots } = this.parts
    const now = this.now()
    const snapshot = await snapshots.current()
    const visitor = request.user === null ? null : await visitors.find(request.user, snapshot.audienceIds)
    // The money of a bid is held only if the cap allows it. What was shown is looked up for those alone who may have seen enough.
    const isSafe = visitor === null || !(request.isDry || this.capped.has(visitor.id))
    const answer = isSafe ? await this.answerFor(request, visitor, snapshot, now) : undefined
    if (answer) return answer
    const { cappedIds, capHours } = snapshot
    const since = new Date(now.getTime() - capHours * HOUR_MS)
    const knowing = visitor && (await visitors.withShown(visitor, { cappedIds, since }))
    return (await this.answerFor(request, knowing, snapshot, now)) as BidMade | NoBidMade
  }

  /** Undefined where it has to be known what was shown to the visitor, and is not. */
  private answerFor(
    request: BidRequest,
    visitor: BidVisitor | null,
    snapshot: Snapshot,
    now: Date,
  ): Promise<BidMade | NoBidMade | undefined> {
    const trail: Trail = { rules: [...(request.rules ?? [])], counts: {}, examples: [] }
    const person = personOf(request, visitor, trail)
    return this.answer(request, { snapshot, person, context: this.contextOf(request, person, now), trail, now })
  }

  /** Takes a notice about a bid, or says what it would do. Throws what its sender could have known. */
  async outcome(notice: Notice, { isDry = false } = {}): Promise<Settled> {
    const now = this.now()
    if (notice.at.getTime() > now.getTime() + 5 * MINUTE_MS) throw new InvalidInput('occurredAt lies in the future', {}, ['occurredAt'])
    const { repository } = this.parts
    const settled = isDry ? await repository.foreseen(notice, now) : await repository.settle(notice, now)
    if (settled.result === 'UNKNOWN') throw new NotFound('No bid has this decisionId', {}, ['decisionId'])
    if (settled.result === 'BEFORE_BID')
      throw new InvalidInput('occurredAt lies before the bid was made; nothing was recorded', {}, ['occurredAt'])
    if (settled.result === 'PRICE_ABOVE_BID')
      throw new InvalidInput(`The price ${notice.micros} micros is above the bid of ${settled.bidMicros}; nothing was booked`, {}, [
        'price',
      ])
    return settled
  }

  expire(): Promise<number> {
    return this.parts.repository.expire(this.now())
  }

  private async answer(
    request: BidRequest,
    {
      snapshot,
      person,
      context,
      trail,
      now,
    }: { snapshot: Snapshot; person: BidVisitor | null; context: BidRequest['context']; trail: Trail; now: Date },
  ): Promise<BidMade | NoBidMade | undefined> {
    const none = (reason: string, predictions?: Predictions) => this.noBid(request, reason, { person, trail, predictions, now })
    if (request.refusal) return none(request.refusal)
    const eligible = this.eligible(request, snapshot, person, context, trail, now)
    if (eligible.length === 0) return none(mostCommon(trail.counts) ?? 'NO_CAMPAIGNS')
    const predictions = this.predicted(request, eligible, context)
    if (predictions.fault) trail.rules.push(`${predictions.fault}; the ad's own record answered`)
    const ranked = this.ranked(request, eligible, predictions, snapshot, trail)
    for (const candidate of ranked) {
      if (request.deadline !== undefined && performance.now() > request.deadline) return none('TIMEOUT', predictions)
      const made = await this.place(request, candidate, { predictions, person, context, trail, now, snapshot })
      if (typeof made === 'object') return made
      if (made === 'FREQUENCY_CAPPED' && person) {
        this.capped.set(person.id, true)
        if (!person.shown) return undefined
      }
      drop(trail, made, candidate.ad.campaign.row.name)
    }
    return none(mostCommon(trail.counts) ?? 'NO_VALUE', predictions)
  }

  /** Every ad that may be shown here, now, to this person. */
  private eligible(
    request: BidRequest,
    { campaigns }: Snapshot,
    person: BidVisitor | null,
    context: BidRequest['context'],
    trail: Trail,
    now: Date,
  ): AdLine[] {
    const moment = this.momentOf(now)
    const ready = readyContext(context)
    const ads: AdLine[] = []
    for (const line of campaigns) {
      if (request.campaignKeys && !request.campaignKeys.has(line.row.id)) continue
      const reason = this.refusal(line, person, ready, moment, now)
      if (reason) {
        drop(trail, reason, line.row.name)
        continue
      }
      for (const ad of line.ads) {
        const blocked = request.blocklist && blockedBecause(ad, request.blocklist)
        if (blocked) drop(trail, blocked, ad.headline)
        else ads.push(ad)
      }
    }
    if (ads.length <= MOST_ADS) return ads
    trail.rules.push(`${ads.length} ads are eligible; the ${MOST_ADS} with the best records were looked at`)
    const record = (ad: AdLine) => (ad.clicks + 1) / (ad.impressions + 100)
    return ads.sort((a, b) => record(b) - record(a)).slice(0, MOST_ADS)
  }

  private refusal(
    { row, targeting, fault, remainingMicros }: CampaignLine,
    person: BidVisitor | null,
    context: ReadyContext,
    moment: LocalMoment,
    now: Date,
  ): string | undefined {
    const { startsAt, endsAt, schedule, audienceId, excludedAudienceIds, frequencyCap } = row
    if (fault) return fault
    if ((startsAt && startsAt > now) || (endsAt && endsAt <= now) || !isInHours(schedule, moment)) return 'OUTSIDE_SCHEDULE'
    if (remainingMicros < 1) return 'BUDGET_EXHAUSTED'
    const strayed = mismatch(targeting, context)
    if (strayed) return `TARGETING_${strayed.toUpperCase()}`
    if (audienceId && !person) return 'CONSENT_MISSING'
    if (audienceId && !person?.audiences.has(audienceId)) return 'NOT_IN_AUDIENCE'
    if (person && excludedAudienceIds?.some(id => person.audiences.has(id))) return 'EXCLUDED_AUDIENCE'
    if (person?.shown && frequencyCap) {
      const since = now.getTime() - frequencyCap.hours * HOUR_MS
      const times = person.shown.get(row.id)?.filter(time => time > since) ?? []
      if (times.length >= frequencyCap.impressions) return 'FREQUENCY_CAPPED'
    }
    return undefined
  }

  private predicted(request: BidRequest, ads: readonly AdLine[], context: ContextFacts): Predictions {
    const predictions = this.parts.predictor.predict(ads, context)
    if (request.pCtr !== undefined) predictions.pCtr.fill(request.pCtr)
    if (request.pCvr !== undefined) predictions.pCvr.fill(request.pCvr)
    return predictions
  }

  /** Of the ads that would bid, those of the highest expected value, as many as are tried; of equal ones the older first. */
  private ranked(
    { auction, floorMicros, ceilingMicros }: BidRequest,
    ads: readonly AdLine[],
    { pCtr, pCvr }: Predictions,
    { winCurve }: Snapshot,
    trail: Trail,
  ): Candidate[] {
    const { opportunity } = this
    Object.assign(opportunity, { auction, floorMicros, ceilingMicros, winCurve })
    const candidates: Candidate[] = []
    let below = 0
    for (let at = 0; at < ads.length; at++) {
      const ad = ads[at]
      opportunity.pCtr = pCtr[at]
      opportunity.pCvr = pCvr[at]
      opportunity.valueMicros = ad.valueMicros
      opportunity.multiplier = ad.campaign.multiplier
      opportunity.targetMultiplier = ad.campaign.targetMultiplier
      opportunity.remainingMicros = ad.campaign.remainingMicros
      if (bidAndWorth(ad.bidder, opportunity, this.rank) < 1) below++
      else insertRanked(candidates, { ad, at, worthMicros: this.rank.worthMicros })
    }
    if (below > 0) trail.counts[floorMicros > 0 ? 'BELOW_FLOOR' : 'NO_VALUE'] = below
    return candidates
  }

  /** Holds the money and keeps the decision, both or neither; says why not when there is no money to hold. */
  private async place(
    request: BidRequest,
    { ad, at }: Candidate,
    {
      predictions,
      person,
      context,
      trail,
      now,
      snapshot,
    }: { predictions: Predictions; person: BidVisitor | null; context: ContextFacts; trail: Trail; now: Date; snapshot: Snapshot },
  ): Promise<BidMade | NoBidMade | 'BUDGET_EXHAUSTED' | 'CAMPAIGN_STOPPED' | 'FREQUENCY_CAPPED'> {
    const { campaign } = ad
    const [pCtr, pCvr] = [predictions.pCtr[at], predictions.pCvr[at]]
    const answer = this.answerOf(request, ad, pCtr, pCvr, snapshot)
    // While another campaign was tried, others have taken what this one had left.
    if (answer.bidMicros < 1) return 'BUDGET_EXHAUSTED'
    const key = v7(now.getTime())
    const expiresAt = new Date(now.getTime() + request.reserveSeconds * 1000)
    const explanation = `${linesOf(answer.explanation)}\n${this.explained(request, ad, context, pCtr, pCvr)}`
    const made: BidMade = {
      kind: 'bid',
      decisionKey: key,
      campaignKey: campaign.row.id,
      ad,
      priceMicros: answer.bidMicros,
      pCtr,
      pCvr,
      multiplier: campaign.multiplier,
      reservedMicros: request.isDry ? 0 : answer.bidMicros,
      expiresAt,
      explanation,
    }
    if (request.isDry) return made
    const { servedBy, detail, consentBasis, inputHash } = decisionRow(
      {
        id: key,
        kind: 'bid',
        userId: person?.id ?? null,
        modelId: predictions.modelId,
        servedBy: predictions.servedBy,
        contributions: explanation,
        rules: trail.rules,
        dropped: { counts: trail.counts, examples: trail.examples },
        consentBasis: basisOf(person),
        input: inputOf(request),
      },
      now,
    )
    const cap = person && campaign.row.frequencyCap
    const reserved = await this.parts.repository.reserve({
      id: key,
      campaignId: campaign.row.id,
      period: campaign.period,
      adId: ad.id,
      userId: person?.id ?? null,
      micros: answer.bidMicros,
      pCtr,
      pCvr,
      modelId: predictions.modelId,
      auction: request.auction,
      context: loggedOf(context, ad.facts.sentiment),
      createdAt: now,
      expiresAt,
      cap: cap ? cap.impressions : null,
      capSince: cap ? new Date(now.getTime() - cap.hours * HOUR_MS) : null,
      servedBy,
      detail,
      consentBasis,
      inputHash,
    })
    campaign.remainingMicros = reserved.roomMicros
    if (reserved.outcome === 'missing') {
      // A new day has begun, or the campaign was stopped: look at the state and let the next campaign bid.
      void this.parts.snapshots.look()
      return 'CAMPAIGN_STOPPED'
    }
    if (reserved.outcome === 'capped') return 'FREQUENCY_CAPPED'
    if (reserved.outcome !== 'reserved') return 'BUDGET_EXHAUSTED'
    if (request.deadline !== undefined && performance.now() > request.deadline) {
      await this.parts.repository.settle(
        { id: key, type: 'LOSS', reference: 'timeout', micros: null, minToWinMicros: null, isBilled: false, at: now },
        now,
      )
      return this.noBid(request, 'TIMEOUT', { person, trail, predictions, now })
    }
    this.parts.metrics.model('CTR', predictions.servedBy)
    return made
  }

  private answerOf(
    { auction, floorMicros, ceilingMicros }: BidRequest,
    ad: AdLine,
    pCtr: number,
    pCvr: number,
    { winCurve }: Snapshot,
  ): BidAnswer {
    const { multiplier, targetMultiplier, remainingMicros } = ad.campaign
    const { valueMicros } = ad
    return decide(
      ad.bidder,
      createOpportunity({
        auction,
        floorMicros,
        ceilingMicros,
        winCurve,
        pCtr,
        pCvr,
        multiplier,
        targetMultiplier,
        remainingMicros,
        valueMicros,
      }),
    )
  }

  private explained(request: BidRequest, ad: AdLine, context: ContextFacts, pCtr: number, pCvr: number): string {
    if (request.pCtr !== undefined) return lineOf('pCTR', 'given by the caller', Math.log(pCtr / (1 - pCtr)))
    return this.parts.predictor.explain(ad, context, pCtr, pCvr)
  }

  private async noBid(
    request: BidRequest,
    reason: string,
    { person, trail, predictions, now }: { person: BidVisitor | null; trail: Trail; predictions?: Predictions; now: Date },
  ): Promise<NoBidMade> {
    const key = v7(now.getTime())
    if (!request.isDry)
      await this.parts.decisions.record({
        id: key,
        kind: 'no bid',
        userId: person?.id ?? null,
        modelId: predictions?.modelId ?? null,
        servedBy: predictions?.servedBy ?? 'rules',
        contributions: [],
        rules: [...trail.rules, `No bid: ${reason}`],
        dropped: { counts: trail.counts, examples: trail.examples },
        consentBasis: basisOf(person),
        input: inputOf(request),
      })
    return { kind: 'none', decisionKey: key, reason }
  }

  private contextOf({ context }: BidRequest, person: BidVisitor | null, now: Date): BidRequest['context'] {
    const { weekday, hour } = this.momentOf(now)
    const { device, placement, position, country, domain, os, language, categories } = context
    return {
      device,
      placement,
      position,
      country: country ?? person?.country,
      domain,
      os,
      language,
      categories,
      hour,
      weekday,
      gender: person?.gender ?? null,
      age: person ? ageOf(person.birthYear, now.getUTCFullYear()) : null,
      city: person?.city ?? null,
      affinity: person?.affinity ?? null,
    }
  }

  private momentOf(now: Date): LocalMoment {
    const minute = Math.floor(now.getTime() / MINUTE_MS)
    if (minute !== this.minute) {
      this.minute = minute
      this.moment = this.parts.calendar.moment(now)
    }
    return this.moment
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

/** The person, if anything of him may be used; why not is a rule of the decision. */
function personOf({ user, privacy }: BidRequest, visitor: BidVisitor | null, { rules }: Trail): BidVisitor | null {
  const refuse = (rule: string) => {
    rules.push(rule)
    return null
  }
  if (user === null) return refuse('No person was named: nothing personal was used')
  if (privacy) return refuse(`${privacy}: nothing personal was used`)
  if (!visitor) return refuse('This person is unknown: nothing personal was used')
  if (visitor.isSuppressed) return refuse('This person must not be addressed: nothing personal was used')
  if (!visitor.ads) return refuse('This person was not asked for consent to ADS: nothing personal was used')
  if (!visitor.ads.granted) return refuse('This person refused consent to ADS: nothing personal was used')
  return visitor
}

function basisOf(person: BidVisitor | null): string | null {
  return person?.ads ? `ADS granted ${person.ads.at.toISOString()} (${person.ads.source})` : null
}

/** Keeps the best candidates in their order. */
function insertRanked(best: Candidate[], candidate: Candidate): void {
  const { worthMicros, ad } = candidate
  let place = best.length
  while (
    place > 0 &&
    (worthMicros > best[place - 1].worthMicros || (worthMicros === best[place - 1].worthMicros && ad.id < best[place - 1].ad.id))
  )
    place--
  if (place === TRIES) return
  best.splice(place, 0, candidate)
  if (best.length > TRIES) best.pop()
}

function drop({ counts, examples }: Trail, reason: string, item: string): void {
  counts[reason] = (counts[reason] ?? 0) + 1
  if (examples.length < EXAMPLES) examples.push({ item, reason })
}

function mostCommon(counts: Record<string, number>): string | undefined {
  let best: string | undefined
  for (const reason of Object.keys(counts)) if (best === undefined || counts[reason] > counts[best]) best = reason
  return best
}

/** What was known of the moment and used of the person, for the model that will learn from it. */
function loggedOf(context: ContextFacts, sentiment: string | null): Record<string, unknown> {
  const logged: Record<string, unknown> = {}
  for (const name in context) {
    const value = context[name as keyof ContextFacts]
    if (value !== null && value !== undefined) logged[name] = value
  }
  if (sentiment !== null) logged.sentiment = sentiment
  return logged
}

/** What was asked, without what only this answer was to keep to. */
function inputOf(request: BidRequest) {
  const { user, privacy, context, auction, floorMicros, ceilingMicros, campaignKeys, pCtr, pCvr, reserveSeconds, isDry, refusal } = request
  return {
    user,
    privacy,
    context,
    auction,
    floorMicros,
    ceilingMicros: String(ceilingMicros),
    campaignKeys: campaignKeys && [...campaignKeys],
    pCtr,
    pCvr,
    reserveSeconds,
    isDry,
    refusal,
  }
}
