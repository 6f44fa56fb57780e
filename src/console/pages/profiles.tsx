import { useState } from 'react'
import { run } from '../api.js'
import {
  ClusterRuleDocument,
  ClustersDocument,
  SegmentCreateDocument,
  UserProfileDocument,
  WhyScoresDocument,
} from '../generated/documents.js'
import { Badge, go, moneyOf, numberOf, Panel, Table, timeOf, useLoaded, useWords, Waiting } from '../parts.js'

interface ScoreParts {
  value: number | null
  state: string
  sampleSize: number
  interval: { low: number; high: number } | null
}

type Which = 'churnProbability' | 'purchaseProbability' | 'lifetimeValue'

/** Everything that is known of one user, and what the models make of it. */
export function UserProfile({ externalId }: { externalId: string }) {
  const words = useWords()
  const isChinese = words.language === 'English'
  const loaded = useLoaded(signal => run(UserProfileDocument, { externalId }, signal), [externalId])
  const user = loaded.data?.user
  const why = async (which: Which) => {
    const { user: asked } = await run(WhyScoresDocument, { externalId })
    const id = asked?.profile?.[which].decisionId
    if (id) go(`/decisions/${id}`)
  }
  if (!loaded.data) return <Waiting of={loaded} />
  if (!user) return <p className="quiet">{words.unknownUser}</p>
  const { profile } = user
  const share = (value: number) => `${(100 * value).toFixed(1)} %`
  const scores: [string, Which, ScoreParts, (value: number) => string][] = profile
    ? [
        [words.churn, 'churnProbability', profile.churnProbability, share],
        [words.purchase, 'purchaseProbability', profile.purchaseProbability, share],
        [words.lifetimeValue, 'lifetimeValue', profile.lifetimeValue, value => value.toFixed(2)],
      ]
    : []
  return (
    <>
      <p>
        <a href="#/users">← {words.back}</a>
      </p>
      <Panel title={user.externalId} actions={profile?.rfm && <Badge state={isChinese ? profile.rfm.labelZh : profile.rfm.label} />}>
        <p className="quiet">
          {[user.city, user.country, user.gender, user.birthYear, user.timeZone].filter(Boolean).join(' · ')} · {words.since}{' '}
          {timeOf(user.createdAt)}
        </p>
        {!profile && <p className="quiet">{words.noProfile}</p>}
        {profile?.isBot && <p className="fault">{words.bot}</p>}
        {profile && (
          <p>
            {words.events}: {profile.events} · {words.lastSeen}: {timeOf(profile.lastEventAt)} · {words.nextOrder}:{' '}
            {timeOf(profile.nextOrderAt)}
          </p>
        )}
        {profile?.rfm && (
          <p>
            R {profile.rfm.recencyScore} · F {profile.rfm.frequencyScore} · M {profile.rfm.monetaryScore} · {moneyOf(profile.rfm.monetary)}{' '}
            · {profile.rfm.frequency} × · {profile.rfm.recencyDays.toFixed(0)} d
          </p>
        )}
        {profile?.cluster && (
          <p>
            {words.cluster}: <a href="#/clusters">{isChinese ? profile.cluster.nameZh : profile.cluster.name}</a>
          </p>
        )}
        {profile && profile.segments.length > 0 && (
          <p>
            {words.inSegments}:{' '}
            {profile.segments.map(segment => (
              <a key={segment.id} href={`#/segments/${segment.id}`} className="tag">
                {segment.name}
              </a>
            ))}
          </p>
        )}
        {user.merges.length > 0 && (
          <p className="quiet">
            {words.merges}:{' '}
            {user.merges.map(merge => `${merge.evidence}, ${timeOf(merge.mergedAt)}${merge.undoneAt ? ' ↺' : ''}`).join('; ')}
          </p>
        )}
      </Panel>
      {profile && (
        <>
          <Panel title={words.score}>
            <Table
              rows={scores}
              keyOf={([name]) => name}
              columns={[
                { title: '', cell: ([name]) => name },
                { title: words.number, cell: ([, , score, shown]) => (score.value === null ? '–' : shown(score.value)), isNumber: true },
                {
                  title: '90 %',
                  cell: ([, , { interval }, shown]) => (interval ? `${shown(interval.low)} – ${shown(interval.high)}` : '–'),
                  isNumber: true,
                },
                { title: words.state, cell: ([, , score]) => <Badge state={score.state} /> },
                {
                  title: '',
                  cell: ([, which]) => (
                    <button type="button" className="plain" onClick={() => void why(which)}>
                      {words.why}
                    </button>
                  ),
                },
              ]}
            />
          </Panel>
          <div className="columns">
            <Panel title={words.tastes}>
              <Bars rows={profile.categoryAffinities.map(({ category, weight }) => [category, weight])} />
            </Panel>
            <Panel title={words.brands}>
              <Bars rows={profile.brandAffinities.map(({ category, weight }) => [category, weight])} />
            </Panel>
          </div>
          <Panel title={words.hours}>
            <Hours counts={profile.hours} />
          </Panel>
          <Panel title={words.features}>
            <Table
              rows={profile.features}
              keyOf={row => row.name}
              columns={[
                { title: words.name, cell: row => <code>{row.name}</code> },
                { title: '', cell: row => (isChinese ? row.descriptionZh : row.description) },
                { title: words.number, cell: row => numberOf(row.value), isNumber: true },
              ]}
            />
            {Object.keys(profile.leftOut as object).length > 0 && (
              <p className="quiet">
                {words.leftOut}: {JSON.stringify(profile.leftOut)}
              </p>
            )}
          </Panel>
        </>
      )}
    </>
  )
}

function Bars({ rows }: { rows: readonly (readonly [string, number])[] }) {
  const words = useWords()
  if (rows.length === 0) return <p className="quiet">{words.nothing}</p>
  return (
    <Table
      rows={rows}
      keyOf={([name]) => name}
      columns={[
        { title: words.name, cell: ([name]) => name },
        { title: '', cell: ([, weight]) => <meter min={0} max={1} value={weight} /> },
        { title: words.weight, cell: ([, weight]) => `${(100 * weight).toFixed(0)} %`, isNumber: true },
      ]}
    />
  )
}

function Hours({ counts }: { counts: readonly number[] }) {
  const most = Math.max(1, ...counts)
  return (
    <svg viewBox="0 0 240 60" className="hours" role="img" aria-label={counts.join(', ')}>
      {counts.map((count, hour) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: an hour is its place
        <rect key={hour} x={hour * 10 + 1} width={8} y={48 - (44 * count) / most} height={(44 * count) / most} rx={1} />
      ))}
      {[0, 6, 12, 18].map(hour => (
        <text key={hour} x={hour * 10 + 1} y={58}>
          {hour}
        </text>
      ))}
    </svg>
  )
}

interface Trait {
  feature: string
  mean: number
  population: number
  deviations: number
}

/** Groups of people who are alike, and how each could be said as a rule. */
export function Clusters() {
  const words = useWords()
  const isChinese = words.language === 'English'
  const [chosen, setChosen] = useState<string>()
  const loaded = useLoaded(signal => run(ClustersDocument, {}, signal), [])
  if (!loaded.data) return <Waiting of={loaded} />
  const { clusters } = loaded.data
  if (clusters.length === 0) return <p className="quiet">{words.noClusters}</p>
  return (
    <>
      {chosen && <Rule key={chosen} cluster={chosen} name={clusters.find(({ key }) => key === chosen)?.name ?? chosen} />}
      <Panel title={words.clusters}>
        <Table
          rows={clusters}
          keyOf={row => row.key}
          columns={[
            { title: '', cell: row => <code>{row.key}</code> },
            { title: words.name, cell: row => (isChinese ? row.nameZh : row.name) },
            { title: words.size, cell: row => row.size.toLocaleString(), isNumber: true },
            {
              title: words.distinguishing,
              cell: row =>
                (row.distinguishing as Trait[])
                  .map(({ feature, mean, population }) => `${feature} ${mean.toFixed(2)} (${population.toFixed(2)})`)
                  .join(' · '),
            },
            {
              title: '',
              cell: row => (
                <button type="button" className="plain" onClick={() => setChosen(row.key)}>
                  {words.asRule}
                </button>
              ),
            },
          ]}
        />
      </Panel>
    </>
  )
}

function Rule({ cluster, name }: { cluster: string; name: string }) {
  const words = useWords()
  const [said, setSaid] = useState('')
  const loaded = useLoaded(signal => run(ClusterRuleDocument, { key: cluster }, signal), [cluster])
  const found = loaded.data?.clusterRule
  const make = async () => {
    const { segmentCreate } = await run(SegmentCreateDocument, { input: { name, ruleJson: found?.rule, dryRun: false } })
    if (segmentCreate.segment) go(`/segments/${segmentCreate.segment.id}`)
    else setSaid(segmentCreate.userErrors[0]?.message ?? '')
  }
  return (
    <Panel
      title={`${words.asRule}: ${name}`}
      actions={
        found && (
          <button type="button" onClick={() => make().catch(error => setSaid(error.message))}>
            {words.makeSegment}
          </button>
        )
      }
    >
      <Waiting of={loaded} />
      {said && <p role="status">{said}</p>}
      {found && (
        <>
          <p>
            {words.precision} {(100 * found.precision).toFixed(1)} % · {words.recall} {(100 * found.recall).toFixed(1)} %
          </p>
          <pre className="card">{JSON.stringify(found.rule, null, 2)}</pre>
        </>
      )}
    </Panel>
  )
}
