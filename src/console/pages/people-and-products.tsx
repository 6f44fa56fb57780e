import { useState } from 'react'
import { run } from '../api.js'
import { ProductsDocument, SimilarDocument, UsersDocument } from '../generated/documents.js'
import { moneyOf, numberOf, PagedTable, Panel, Table, timeOf, useLoaded, usePages, useWords, Waiting } from '../parts.js'

function Search({ hint, onSearch }: { hint: string; onSearch(text: string): void }) {
  return <input className="search" type="search" aria-label={hint} placeholder={hint} onChange={event => onSearch(event.target.value)} />
}

export function Users() {
  const words = useWords()
  const [search, setSearch] = useState('')
  const users = usePages(
    async (after, signal) => (await run(UsersDocument, { first: 25, after, search: search || null }, signal)).users,
    [search],
  )
  return (
    <Panel title={words.users} actions={<Search hint={words.search} onSearch={setSearch} />}>
      <PagedTable
        of={users}
        keyOf={row => row.id}
        columns={[
          { title: words.externalId, cell: row => <a href={`#/users/${encodeURIComponent(row.externalId)}`}>{row.externalId}</a> },
          { title: words.city, cell: row => row.city ?? '' },
          { title: words.country, cell: row => row.country ?? '' },
          { title: words.gender, cell: row => row.gender ?? '' },
          { title: words.born, cell: row => row.birthYear ?? '', isNumber: true },
          { title: words.since, cell: row => timeOf(row.createdAt) },
          { title: '', cell: row => <a href={`#/recommendations/${encodeURIComponent(row.externalId)}`}>{words.recommend}</a> },
        ]}
      />
    </Panel>
  )
}

export function Products() {
  const words = useWords()
  const [search, setSearch] = useState('')
  const [chosen, setChosen] = useState<string>()
  const products = usePages(
    async (after, signal) => (await run(ProductsDocument, { first: 25, after, search: search || null }, signal)).products,
    [search],
  )
  return (
    <>
      {chosen && <Similar id={chosen} />}
      <Panel title={words.products} actions={<Search hint={words.searchProducts} onSearch={setSearch} />}>
        <PagedTable
          of={products}
          keyOf={row => row.id}
          columns={[
            { title: words.externalId, cell: row => row.externalId },
            { title: words.product, cell: row => row.title },
            { title: words.brand, cell: row => row.brand ?? '' },
            { title: words.categories, cell: row => row.categories.join(', ') },
            { title: words.price, cell: row => moneyOf(row.price), isNumber: true },
            { title: words.stock, cell: row => row.stock ?? '–', isNumber: true },
            {
              title: '',
              cell: row => (
                <button type="button" className="plain" onClick={() => setChosen(row.id)}>
                  {words.similar}
                </button>
              ),
            },
          ]}
        />
      </Panel>
    </>
  )
}

function Similar({ id }: { id: string }) {
  const words = useWords()
  const loaded = useLoaded(signal => run(SimilarDocument, { id }, signal), [id])
  const product = loaded.data?.product
  return (
    <Panel title={product ? `${words.similar}: ${product.title}` : words.similar}>
      <Waiting of={loaded} />
      {product && (
        <Table
          rows={product.similar}
          keyOf={row => row.product.id}
          columns={[
            { title: '#', cell: row => row.rank, isNumber: true },
            { title: words.product, cell: row => row.product.title },
            { title: words.externalId, cell: row => row.product.externalId },
            { title: words.score, cell: row => numberOf(row.score), isNumber: true },
          ]}
        />
      )}
    </Panel>
  )
}
