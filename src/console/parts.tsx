import { createContext, type ReactNode, useCallback, useContext, useEffect, useState } from 'react'
import { ApiError } from './api.js'
import type { Words } from './words.js'

export const WordsContext = createContext<Words>({} as Words)
export const useWords = () => useContext(WordsContext)

/** Goes to a page of the console; the address says where one is. */
export function go(path: string) {
  location.hash = path
}

interface Loaded<T> {
  data?: T
  error?: string
  isLoading: boolean
  reload(): void
}

/** Data that a page shows; loaded anew when a dependency changes. */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, dependencies: unknown[]): Loaded<T> {
  const [result, setResult] = useState<{ data?: T; error?: string; isLoading: boolean }>({ isLoading: true })
  const [turn, setTurn] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the caller names what the data depends on
  useEffect(() => {
    const controller = new AbortController()
    setResult(before => ({ ...before, error: undefined, isLoading: true }))
    load(controller.signal).then(
      data => setResult({ data, isLoading: false }),
      error => {
        if (!controller.signal.aborted) setResult({ error: error instanceof ApiError ? error.message : String(error), isLoading: false })
      },
    )
    return () => controller.abort()
  }, [...dependencies, turn])
  return { ...result, reload: useCallback(() => setTurn(before => before + 1), []) }
}

export function Panel({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <section className="panel">
      <header>
        <h2>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  )
}

export function Waiting({ of }: { of: { error?: string; isLoading: boolean; data?: unknown } }) {
  const words = useWords()
  if (of.error)
    return (
      <p className="fault" role="alert">
        {of.error}
      </p>
    )
  return of.isLoading && !of.data ? <p className="quiet">{words.loading}</p> : null
}

export function Badge({ state }: { state: string }) {
  return <span className={`badge ${state.toLowerCase()}`}>{state}</span>
}

interface Column<Row> {
  title: string
  cell(row: Row): ReactNode
  isNumber?: boolean
}

export function Table<Row>({
  rows,
  columns,
  keyOf,
  onRow,
}: {
  rows: readonly Row[]
  columns: readonly Column<Row>[]
  keyOf(row: Row, index: number): string
  onRow?(row: Row): void
}) {
  const words = useWords()
  if (rows.length === 0) return <p className="quiet">{words.nothing}</p>
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            {columns.map(column => (
              <th key={column.title} scope="col" className={column.isNumber ? 'number' : undefined}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={keyOf(row, index)} className={onRow ? 'link' : undefined} onClick={onRow && (() => onRow(row))}>
              {columns.map(column => (
                <td key={column.title} data-title={column.title} className={column.isNumber ? 'number' : undefined}>
                  <div>{column.cell(row)}</div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

interface Page<Node> {
  nodes: readonly Node[]
  pageInfo: { hasNextPage: boolean; endCursor: string | null }
}

/** A list that grows page by page. */
export function usePages<Node>(load: (after: string | null, signal: AbortSignal) => Promise<Page<Node>>, dependencies: unknown[]) {
  const [later, setLater] = useState<Node[]>([])
  const [end, setEnd] = useState<Page<Node>['pageInfo']>()
  const first = useLoaded(async signal => {
    const page = await load(null, signal)
    setLater([])
    setEnd(page.pageInfo)
    return page
  }, dependencies)
  const more = async () => {
    const page = await load(end?.endCursor ?? null, new AbortController().signal)
    setLater(before => [...before, ...page.nodes])
    setEnd(page.pageInfo)
  }
  return { ...first, rows: [...(first.data?.nodes ?? []), ...later], more: end?.hasNextPage ? more : undefined }
}

export function More({ of }: { of: { more?: () => void } }) {
  const words = useWords()
  return of.more ? (
    <button type="button" className="plain" onClick={of.more}>
      {words.more}
    </button>
  ) : null
}

export function moneyOf(price: { amountMicros: number | string; currencyCode: string } | null | undefined): string {
  if (!price) return '–'
  return new Intl.NumberFormat(undefined, { style: 'currency', currency: price.currencyCode }).format(
    Number(price.amountMicros) / 1_000_000,
  )
}

export function timeOf(time: string | null | undefined): string {
  return time ? new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) : '–'
}

export function numberOf(value: unknown): string {
  return typeof value === 'number' ? (Number.isInteger(value) ? value.toLocaleString() : value.toFixed(4)) : '–'
}

export function percent(share: number | null): string {
  return share === null ? '–' : `${(100 * share).toFixed(1)} %`
}
