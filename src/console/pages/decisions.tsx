import { useState } from 'react'
import { run } from '../api.js'
import { DecisionDocument } from '../generated/documents.js'
import { go, numberOf, Panel, Table, timeOf, useLoaded, useWords, Waiting } from '../parts.js'

interface Dropped {
  counts: Record<string, number>
  examples: { item: string; reason: string }[]
}

export function Decisions({ id }: { id: string }) {
  const words = useWords()
  const [wanted, setWanted] = useState(id)
  return (
    <>
      <Panel title={words.decisions}>
        <form
          className="row"
          onSubmit={event => {
            event.preventDefault()
            go(`/decisions/${wanted.trim()}`)
          }}
        >
          <label>
            {words.decisionId}
            <input value={wanted} onChange={event => setWanted(event.target.value)} />
          </label>
          <button type="submit">{words.look}</button>
        </form>
      </Panel>
      {id && <Decision id={id} />}
    </>
  )
}

function Decision({ id }: { id: string }) {
  const words = useWords()
  const loaded = useLoaded(signal => run(DecisionDocument, { id }, signal), [id])
  const decision = loaded.data?.decision
  if (loaded.data && !decision) return <p className="quiet">{words.notFound}</p>
  if (!decision) return <Waiting of={loaded} />
  const dropped = decision.dropped as Dropped
  return (
    <>
      <Panel title={decision.kind}>
        <dl>
          <dt>{words.at}</dt>
          <dd>{timeOf(decision.at)}</dd>
          <dt>{words.servedBy}</dt>
          <dd>
            {decision.servedBy}
            {decision.modelId && (
              <>
                {' '}
                · <a href={`#/models/${decision.modelId}`}>{words.card}</a>
              </>
            )}
          </dd>
          {decision.sameAs && (
            <>
              <dt>{words.sameAs}</dt>
              <dd>
                <a href={`#/decisions/${decision.sameAs}`}>{words.sameAsText}</a>
              </dd>
            </>
          )}
          <dt>{words.consent}</dt>
          <dd>{decision.consentBasis ?? '–'}</dd>
          <dt>{words.inputHash}</dt>
          <dd>
            <code>{decision.inputHash.slice(0, 16)}…</code>
          </dd>
          <dt>{words.rules}</dt>
          <dd>
            {decision.rules.length > 0 ? (
              <ul>
                {decision.rules.map(rule => (
                  <li key={rule}>{rule}</li>
                ))}
              </ul>
            ) : (
              '–'
            )}
          </dd>
          <dt>{words.dropped}</dt>
          <dd>
            {Object.entries(dropped.counts)
              .map(([reason, count]) => `${reason}: ${count}`)
              .join(' · ') || '–'}
            {dropped.examples.length > 0 && (
              <ul>
                {dropped.examples.map(example => (
                  <li key={example.item}>
                    {example.item}: {example.reason}
                  </li>
                ))}
              </ul>
            )}
          </dd>
        </dl>
      </Panel>
      <Panel title={words.contributions}>
        <Table
          rows={decision.contributions}
          keyOf={(row, index) => `${row.feature}${row.value}${index}`}
          columns={[
            { title: words.feature, cell: row => row.feature },
            { title: words.value, cell: row => row.value },
            { title: words.weight, cell: row => numberOf(row.weight), isNumber: true },
          ]}
        />
      </Panel>
    </>
  )
}
