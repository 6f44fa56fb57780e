import { type FormEvent, useState } from 'react'
import { run } from '../api.js'
import {
  AdStatusSetDocument,
  BidSimulationDocument,
  BidTrialDocument,
  type CampaignActionInput,
  CampaignBudgetSetDocument,
  CampaignDocument,
  CampaignEnableDocument,
  CampaignEndDocument,
  type CampaignForesightFragment,
  CampaignPauseDocument,
  CampaignRenameDocument,
  CampaignsDocument,
  JobResultDocument,
} from '../generated/documents.js'
import {
  AskedTwice,
  Badge,
  go,
  isPreview,
  locale,
  moneyOf,
  PagedTable,
  Panel,
  Table,
  timeOf,
  useLoaded,
  usePages,
  useTerm,
  useWords,
  Waiting,
} from '../parts.js'

interface Money {
  amountMicros: number | string
  currencyCode: string
}

export function Campaigns() {
  const words = useWords()
  const term = useTerm()
  const campaigns = usePages(async (after, signal) => (await run(CampaignsDocument, { first: 20, after }, signal)).campaigns, [])
  return (
    <Panel title={words.campaigns}>
      <PagedTable
        of={campaigns}
        keyOf={row => row.id}
        onRow={row => go(`/campaigns/${row.id}`)}
        columns={[
          { title: words.campaign, cell: row => <a href={`#/campaigns/${row.id}`}>{row.name}</a> },
          { title: words.status, cell: row => <Badge state={row.status} /> },
          {
            title: words.happens,
            cell: row => (
              <>
                <Badge state={row.primaryStatus} /> <small>{row.primaryStatusReasons.map(term).join(', ')}</small>
              </>
            ),
          },
          { title: words.strategy, cell: row => row.biddingStrategy.type },
          { title: words.budget, cell: row => <Spent {...row.budget} /> },
          { title: words.impressions, cell: row => row.performance.impressions.toLocaleString(), isNumber: true },
          { title: 'CTR', cell: row => percentOf(row.performance.ctr.value), isNumber: true },
          { title: words.cost, cell: row => moneyOf(row.performance.cost), isNumber: true },
          { title: 'ROAS', cell: row => row.performance.roas?.toFixed(2) ?? '–', isNumber: true },
        ]}
      />
    </Panel>
  )
}

const ACTIONS = {
  enable: async (input: CampaignActionInput) => (await run(CampaignEnableDocument, { input })).campaignEnable,
  pause: async (input: CampaignActionInput) => (await run(CampaignPauseDocument, { input })).campaignPause,
  end: async (input: CampaignActionInput) => (await run(CampaignEndDocument, { input })).campaignEnd,
}
type Action = keyof typeof ACTIONS
const MOVES: Record<string, readonly Action[]> = {
  DRAFT: ['enable', 'end'],
  ENABLED: ['pause', 'end'],
  PAUSED: ['enable', 'end'],
  ENDED: [],
}

export function Campaign({ id }: { id: string }) {
  const words = useWords()
  const term = useTerm()
  const [said, setSaid] = useState('')
  const [foresight, setForesight] = useState<Preview>()
  const loaded = useLoaded(signal => run(CampaignDocument, { id }, signal), [id])
  const campaign = loaded.data?.campaign
  if (!campaign) return loaded.data ? <p className="quiet">{words.nothing}</p> : <Waiting of={loaded} />
  const { budget, pacing, performance, version } = campaign
  const told = (answer: { userErrors: readonly { message: string }[] }) => {
    setSaid(answer.userErrors[0]?.message ?? words.saved)
    loaded.reload()
  }
  const attempt = (work: Promise<unknown>) => work.catch(error => setSaid(error.message))
  const act = async (action: Action) => told(await ACTIONS[action]({ campaignId: id, expectedVersion: version, dryRun: false }))
  const setAd = async (adId: string, status: 'ENABLED' | 'PAUSED') =>
    told((await run(AdStatusSetDocument, { input: { adId, status, dryRun: false } })).adStatusSet)
  const edit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const name = String(form.get('name')).trim()
    const amountMicros = Math.round(Number(form.get('budget')) * 1_000_000)
    const dryRun = isPreview(event)
    const isNamed = name !== campaign.name
    const isFunded = amountMicros !== Number(budget.amount.amountMicros)
    const changed: { userErrors: readonly { message: string }[]; preview?: Preview | null }[] = []
    if (isNamed || !isFunded)
      changed.push(
        (await run(CampaignRenameDocument, { input: { campaignId: id, expectedVersion: version, name, dryRun } })).campaignUpdate,
      )
    if (isFunded && !changed.some(({ userErrors }) => userErrors.length > 0)) {
      const input = { campaignId: id, amount: { amountMicros, currencyCode: budget.amount.currencyCode }, dryRun }
      // A change of the name has made a new version already.
      const expectedVersion = isNamed ? undefined : version
      changed.push((await run(CampaignBudgetSetDocument, { input: { ...input, expectedVersion } })).campaignBudgetSet)
    }
    const refused = changed.find(({ userErrors }) => userErrors.length > 0)
    if (!dryRun || refused) {
      setForesight(undefined)
      return told(refused ?? { userErrors: [] })
    }
    setSaid('')
    // Of several changes the last one, which decides about money, says what to expect.
    setForesight(changed.at(-1)?.preview ?? undefined)
  }
  return (
    <>
      <p>
        <a href="#/campaigns">← {words.back}</a>
      </p>
      <Panel title={campaign.name} actions={<Badge state={campaign.primaryStatus} />}>
        <p className="quiet">
          {term(campaign.status)}
          {campaign.primaryStatusReasons.length > 0 && `: ${campaign.primaryStatusReasons.map(term).join(', ')}`} ·{' '}
          {term(campaign.biddingStrategy.type)}
          {campaign.biddingStrategy.targetCpa && ` ${moneyOf(campaign.biddingStrategy.targetCpa)}`}
          {campaign.biddingStrategy.targetRoas && ` ${campaign.biddingStrategy.targetRoas}`} · {timeOf(campaign.startsAt)}{' '}
          {campaign.endsAt && `– ${timeOf(campaign.endsAt)}`}
        </p>
        {campaign.status !== 'ENDED' && (
          <form className="row" key={version} onSubmit={event => void attempt(edit(event))}>
            <label>
              {words.name}
              <input name="name" defaultValue={campaign.name} maxLength={200} required />
            </label>
            <label>
              {`${words.budget} (${term(budget.period)}, ${budget.amount.currencyCode})`}
              <input
                name="budget"
                type="number"
                min="0.01"
                step="0.01"
                defaultValue={Number(budget.amount.amountMicros) / 1_000_000}
                required
              />
            </label>
            <button type="submit" value="save">
              {words.save}
            </button>
            <button type="submit" value="preview" className="plain">
              {words.preview}
            </button>
            {MOVES[campaign.status].map(action =>
              action === 'end' ? (
                <AskedTwice key={action} label={words.end} question={words.endQuestion} onYes={() => void attempt(act('end'))} />
              ) : (
                <button key={action} type="button" className="plain" onClick={() => void attempt(act(action))}>
                  {words[action]}
                </button>
              ),
            )}
          </form>
        )}
        {said && <p role="status">{said}</p>}
        {foresight && <Foresight preview={foresight} currency={budget.amount.currencyCode} />}
      </Panel>
      <div className="columns">
        <Panel title={words.pacing} actions={<Badge state={pacing.state} />}>
          <Spent {...budget} target={pacing.target} />
          <dl>
            <dt>{words.target}</dt>
            <dd>{moneyOf(pacing.target)}</dd>
            <dt>{words.projected}</dt>
            <dd>{moneyOf(pacing.projectedEndOfPeriod)}</dd>
            <dt>{words.multiplier}</dt>
            <dd>
              {pacing.multiplier.toFixed(3)} <small>{pacing.controller}</small>
            </dd>
          </dl>
        </Panel>
        <Panel title={words.performance}>
          <dl>
            <dt>{words.impressions}</dt>
            <dd>{performance.impressions.toLocaleString()}</dd>
            <dt>CTR</dt>
            <dd>
              <Rate {...performance.ctr} /> <small>{performance.clicks.toLocaleString()}</small>
            </dd>
            <dt>CVR</dt>
            <dd>
              <Rate {...performance.cvr} /> <small>{performance.conversions.toLocaleString()}</small>
            </dd>
            <dt>{words.cost}</dt>
            <dd>{moneyOf(performance.cost)}</dd>
            <dt>CPA</dt>
            <dd>{moneyOf(performance.cpa)}</dd>
            <dt>ROAS</dt>
            <dd>{performance.roas?.toFixed(2) ?? '–'}</dd>
          </dl>
        </Panel>
      </div>
      <Trial id={id} />
      <Simulation id={id} currency={budget.amount.currencyCode} />
      <Panel title={words.adGroups}>
        <Table
          rows={campaign.adGroups.flatMap(group => group.ads.map(ad => ({ group, ad })))}
          keyOf={row => row.ad.id}
          columns={[
            { title: words.adGroups, cell: row => row.group.name },
            { title: words.bid, cell: row => moneyOf(row.group.effectiveBid), isNumber: true },
            { title: words.ad, cell: row => row.ad.headline },
            { title: words.product, cell: row => row.ad.product?.title ?? '–' },
            { title: words.stock, cell: row => row.ad.product?.stock?.toLocaleString() ?? '–', isNumber: true },
            { title: words.status, cell: row => <Badge state={row.ad.status} /> },
            {
              title: '',
              cell: ({ ad }) =>
                campaign.status !== 'ENDED' && (
                  <button
                    type="button"
                    className="plain"
                    aria-label={`${ad.status === 'PAUSED' ? words.showAgain : words.pause}: ${ad.headline}`}
                    onClick={() => void attempt(setAd(ad.id, ad.status === 'PAUSED' ? 'ENABLED' : 'PAUSED'))}
                  >
                    {ad.status === 'PAUSED' ? words.showAgain : words.pause}
                  </button>
                ),
            },
          ]}
        />
      </Panel>
    </>
  )
}

/** What this campaign would bid now, and why; nothing is reserved. */
function Trial({ id }: { id: string }) {
  const words = useWords()
  const [answer, setAnswer] = useState<Awaited<ReturnType<typeof ask>>>()
  const [fault, setFault] = useState('')
  const ask = async (form: FormData) => {
    const user = String(form.get('user')).trim()
    const input = {
      campaignIds: [id],
      userExternalId: user || null,
      context: { device: String(form.get('device')) || null },
      dryRun: true,
      reserveSeconds: 60,
      auction: 'SECOND_PRICE' as const,
    }
    return (await run(BidTrialDocument, { input })).bidDecide
  }
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    ask(new FormData(event.currentTarget)).then(setAnswer, error => setFault(error.message))
  }
  const preview = answer?.preview
  const parts = preview && 'explanation' in preview ? preview.explanation : []
  const most = Math.max(...parts.map(({ weight }) => Math.abs(weight)), 0)
  return (
    <Panel title={words.trial}>
      <form className="row" onSubmit={submit}>
        <label>
          {words.user}
          <input name="user" placeholder={words.userHint} size={32} />
        </label>
        <label>
          {words.device}
          <select name="device">
            <option>mobile</option>
            <option>desktop</option>
          </select>
        </label>
        <button type="submit">{words.askBid}</button>
      </form>
      {fault && <p className="fault">{fault}</p>}
      {preview && 'reason' in preview && <p role="status">{`${words.noBid}: ${preview.reason}`}</p>}
      {preview && 'price' in preview && (
        <>
          <p role="status">
            <strong>{`${microMoney(preview.price)} / ${words.impression}`}</strong>
            {` · pCTR ${percentOf(preview.pCtr)} · pCVR ${percentOf(preview.pCvr)} · × ${preview.multiplier.toFixed(3)} · ${preview.ad?.headline ?? ''}`}
          </p>
          <Table
            rows={parts}
            keyOf={(row, index) => `${row.feature}${index}`}
            columns={[
              { title: words.part, cell: row => row.feature },
              { title: words.value, cell: row => row.value },
              { title: words.weight, cell: row => Number(row.weight.toPrecision(4)).toLocaleString(), isNumber: true },
              {
                title: '',
                cell: row => (
                  <svg width="120" height="12" role="presentation">
                    <rect
                      className={row.weight < 0 ? 'minus' : 'plus'}
                      x={row.weight < 0 ? 60 - 60 * scaled(row, most) : 60}
                      width={60 * scaled(row, most)}
                      height="12"
                    />
                  </svg>
                ),
              },
            ]}
          />
        </>
      )}
    </Panel>
  )
}

/** Parts of a price are micros and parts of a chance are log-odds: each is drawn against its own kind. */
function scaled({ feature, weight }: { feature: string; weight: number }, most: number): number {
  const share = Math.abs(weight) / (feature.startsWith('pC') ? 5 : Math.max(most, 1))
  return Math.min(1, share)
}

interface Point {
  factor: number
  budgetMicros: number
  perDay: { clicks: number; costMicros: number; valueMicros: number }
}

function Simulation({ id, currency }: { id: string; currency: string }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const [points, setPoints] = useState<Point[]>([])
  const start = async () => {
    setSaid(words.loading)
    const { bidSimulation } = await run(BidSimulationDocument, { input: { campaignId: id, over: 'BUDGET', dryRun: false } })
    if (!bidSimulation.job) return setSaid(bidSimulation.userErrors[0]?.message ?? '')
    for (let tries = 0; tries < 100; tries++) {
      const { job } = await run(JobResultDocument, { id: bidSimulation.job.id })
      if (job?.state === 'COMPLETED' || job?.state === 'FAILED') {
        setSaid(job.message ?? job.error ?? '')
        return setPoints((job.result as { points?: Point[] } | null)?.points ?? [])
      }
      await new Promise(done => setTimeout(done, 200))
    }
  }
  return (
    <Panel
      title={words.simulation}
      actions={
        <button type="button" className="plain" onClick={() => void start().catch(error => setSaid(error.message))}>
          {words.simulate}
        </button>
      }
    >
      {said && <p role="status">{said}</p>}
      {points.length > 0 && <Chart points={points} currency={currency} />}
    </Panel>
  )
}

function Chart({ points, currency }: { points: readonly Point[]; currency: string }) {
  const words = useWords()
  const [width, height, left, bottom] = [560, 220, 50, 28]
  const most = Math.max(...points.map(({ perDay }) => perDay.clicks), 1e-9)
  const x = (index: number) => left + ((width - left - 20) * index) / Math.max(1, points.length - 1)
  const y = (clicks: number) => 12 + (height - bottom - 12) * (1 - clicks / most)
  return (
    <svg className="chart" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={words.simulation}>
      <line x1={left} y1={height - bottom} x2={width - 10} y2={height - bottom} />
      <text x="4" y="18">{`${most.toPrecision(3)} ${words.clicksADay}`}</text>
      <polyline points={points.map(({ perDay }, index) => `${x(index)},${y(perDay.clicks)}`).join(' ')} />
      {points.map(({ factor, perDay }, index) => (
        <g key={factor}>
          <circle cx={x(index)} cy={y(perDay.clicks)} r="4">
            <title>{`${perDay.clicks.toFixed(2)} ${words.clicksADay}, ${microMoney({ amountMicros: perDay.costMicros, currencyCode: currency })}`}</title>
          </circle>
          <text x={x(index)} y={height - 8} textAnchor="middle">{`× ${factor}`}</text>
        </g>
      ))}
    </svg>
  )
}

function Spent({ amount, spent, reserved, target }: { amount: Money; spent: Money; reserved: Money; target?: Money }) {
  const share = (money: Money) => Math.min(100, (100 * Number(money.amountMicros)) / Number(amount.amountMicros))
  return (
    <div className="spent" title={`${moneyOf(spent)} + ${moneyOf(reserved)} / ${moneyOf(amount)}`}>
      <div className="bar">
        <i className="of-spent" style={{ width: `${share(spent)}%` }} />
        <i className="of-reserved" style={{ width: `${Math.min(100 - share(spent), share(reserved))}%` }} />
        {target && <b style={{ left: `${share(target)}%` }} />}
      </div>
      <small>{`${moneyOf(spent)} / ${moneyOf(amount)}`}</small>
    </div>
  )
}

function Rate({ value, state, interval }: { value: number | null; state: string; interval: { low: number; high: number } | null }) {
  return (
    <>
      {percentOf(value)} {interval && <small>{`${percentOf(interval.low)} – ${percentOf(interval.high)}`}</small>}{' '}
      {state !== 'READY' && <small>{state}</small>}
    </>
  )
}

function percentOf(value: number | null | undefined): string {
  return typeof value === 'number' ? `${(100 * value).toFixed(2)}\u00a0%` : '–'
}

/** Money of single impressions is small. */
function microMoney({ amountMicros, currencyCode }: Money): string {
  return new Intl.NumberFormat(locale(), { style: 'currency', currency: currencyCode, maximumFractionDigits: 6 }).format(
    Number(amountMicros) / 1_000_000,
  )
}

type Preview = CampaignForesightFragment

/** What a change would do; nothing was changed. */
function Foresight({ preview, currency }: { preview: Preview; currency: string }) {
  const words = useWords()
  const plain = (count: number) => count.toLocaleString(locale(), { maximumFractionDigits: 1 })
  const paid = (amountMicros: number) => moneyOf({ amountMicros: Math.round(amountMicros), currencyCode: currency })
  const range = (estimate: Preview['expectedClicks'], shown: (value: number) => string) => {
    if (!estimate) return '–'
    const { value, interval } = estimate
    return `${shown(value)}${interval ? ` (${shown(interval.low)} – ${shown(interval.high)})` : ''}`
  }
  return (
    <section aria-label={words.preview}>
      <dl>
        <dt>{words.reach}</dt>
        <dd>{plain(preview.reach)}</dd>
        <dt>{words.notReached}</dt>
        <dd>{preview.exclusions.map(({ reason, count }) => `${reason} ${plain(count)}`).join(', ') || '–'}</dd>
        <dt>{words.expected}</dt>
        <dd>{range(preview.expectedClicks, plain)}</dd>
        <dt>{words.expectedCost}</dt>
        <dd>{range(preview.expectedCost, paid)}</dd>
        <dt>{words.expectedValue}</dt>
        <dd>{range(preview.expectedValue, paid)}</dd>
        <dt>{words.conflicts}</dt>
        <dd>{preview.conflicts.map(({ name, reason }) => `${name}: ${reason}`).join('; ') || '–'}</dd>
        <dt>{words.learning}</dt>
        <dd>{preview.resetsLearning ? words.learnsAnew : words.learnsOn}</dd>
      </dl>
      {preview.warnings.map(warning => (
        <p key={warning} className="quiet">
          {warning}
        </p>
      ))}
    </section>
  )
}
