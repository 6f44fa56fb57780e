import { useState } from 'react'
import { run } from '../api.js'
import { PlacementsDocument, RecommendDocument, type RecommendQueryVariables } from '../generated/documents.js'
import { moneyOf, numberOf, Panel, Table, useLoaded, useWords, Waiting } from '../parts.js'

export const ALGORITHMS = [
  'AUTO',
  'HYBRID',
  'RERANK',
  'EASE',
  'SLIM',
  'IALS',
  'ITEM_CF',
  'USER_CF',
  'RP3BETA',
  'CONTENT',
  'TRENDING',
  'POPULARITY',
  'REPEAT',
] as const

export function Recommendations({ user }: { user: string }) {
  const words = useWords()
  const [wish, setWish] = useState<RecommendQueryVariables>({ userExternalId: user, algorithm: 'AUTO', diversity: 0, placement: null })
  const placements = useLoaded(signal => run(PlacementsDocument, { first: 100, after: null }, signal), [])
  const [name, setName] = useState(user)
  const loaded = useLoaded(signal => run(RecommendDocument, { ...wish, userExternalId: wish.userExternalId || null }, signal), [wish])
  const list = loaded.data?.recommendations
  return (
    <Panel title={words.recommendations}>
      <form
        className="row"
        onSubmit={event => {
          event.preventDefault()
          setWish({ ...wish, userExternalId: name.trim() })
        }}
      >
        <label>
          {words.user}
          <input value={name} onChange={event => setName(event.target.value)} placeholder={words.userHint} size={32} />
        </label>
        <label>
          {words.placement}
          <select value={wish.placement ?? ''} onChange={event => setWish({ ...wish, placement: event.target.value || null })}>
            <option value="">–</option>
            {placements.data?.placements.nodes.map(({ name: each }) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label>
          {words.algorithm}
          <select value={wish.algorithm} onChange={event => setWish({ ...wish, algorithm: event.target.value as typeof wish.algorithm })}>
            {ALGORITHMS.map(algorithm => (
              <option key={algorithm}>{algorithm}</option>
            ))}
          </select>
        </label>
        <label>
          {words.diversity} {wish.diversity}
          <input
            type="range"
            min="0"
            max="1"
            step="0.1"
            value={wish.diversity}
            onChange={event => setWish({ ...wish, diversity: Number(event.target.value) })}
          />
        </label>
        <button type="submit">{words.show}</button>
      </form>
      <Waiting of={loaded} />
      {list && (
        <>
          <p className="quiet">
            {words.servedBy} <strong>{list.servedBy}</strong> · <a href={`#/decisions/${list.decisionId}`}>{words.why}</a>
            {list.fallbacks.map(fallback => ` · ${fallback}`)}
          </p>
          <Table
            rows={list.items}
            keyOf={item => item.product.id}
            columns={[
              { title: '#', cell: item => item.rank, isNumber: true },
              {
                title: words.product,
                cell: item => (
                  <>
                    <strong>{item.product.title}</strong> <small>{item.product.externalId}</small>
                  </>
                ),
              },
              { title: words.brand, cell: item => item.product.brand ?? '' },
              { title: words.categories, cell: item => item.product.categories.join(', ') },
              { title: words.price, cell: item => moneyOf(item.product.price), isNumber: true },
              { title: words.score, cell: item => numberOf(item.score), isNumber: true },
              {
                title: words.reasons,
                cell: item => (
                  <ul className="reasons">
                    {item.reasons.map(reason => (
                      <li key={reason.text}>{reason.text}</li>
                    ))}
                  </ul>
                ),
              },
            ]}
          />
        </>
      )}
    </Panel>
  )
}
