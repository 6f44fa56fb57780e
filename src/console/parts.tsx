import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useEffect, useState } from 'react'
import { ApiError } from './api.js'
import { terms } from './terms.js'
import type { Words } from './words.js'

export const WordsContext = createContext<Words>({} as Words)
export const useWords = () => useContext(WordsContext)

/** What a person calls something that the API has a word of its own for. */
export function useTerm(): (name: string) => string {
  useWords()
  const known = terms[locale() === 'zh' ? 'zh' : 'en']
  return (name: string) => known[name] ?? name
}

/** The language of the page, which dates and sums of money are written in. */
export function locale(): string | undefined {
  return document.documentElement.lang || undefined
}

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
  if (of.error) return <Fault said={of.error} />
  return of.isLoading && !of.data ? <p className="quiet">{words.loading}</p> : null
}

/** What was said against something that a person asked for, if anything was. */
export function Fault({ said, role = 'alert' }: { said: string; role?: 'alert' | 'status' }) {
  if (!said) return null
  return (
    <p className="fault" role={role}>
      {said}
    </p>
  )
}

export function Badge({ state }: { state: string }) {
  return <span className={`badge ${state.toLowerCase()}`}>{useTerm()(state)}</span>
}

interface Column<Row> {
  title: string
  cell(row: Row): ReactNode
  isNumber?: boolean
}

interface TableProps<Row> {
  rows: readonly Row[]
  columns: readonly Column<Row>[]
  keyOf(row: Row, index: number): string
  onRow?(row: Row): void
}

export function Table<Row>({ rows, columns, keyOf, onRow }: TableProps<Row>) {
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

/** A list that grows page by page, as a table. */
export function PagedTable<Row>({
  of,
  ...table
}: Omit<TableProps<Row>, 'rows'> & {
  of: { error?: string; isLoading: boolean; data?: unknown; rows: readonly Row[]; more?: () => void }
}) {
  return (
    <>
      <Waiting of={of} />
      {of.data !== undefined && <Table rows={of.rows} {...table} />}
      <More of={of} />
    </>
  )
}

/** Those who belong to something; each leads to the person's own page. */
export function Members({ rows }: { rows: readonly { id: string; externalId: string; city: string | null; country: string | null }[] }) {
  const words = useWords()
  return (
    <Table
      rows={rows}
      keyOf={row => row.id}
      columns={[
        { title: words.externalId, cell: row => <a href={`#/users/${encodeURIComponent(row.externalId)}`}>{row.externalId}</a> },
        { title: words.city, cell: row => row.city ?? '' },
        { title: words.country, cell: row => row.country ?? '' },
      ]}
    />
  )
}

/** Does what a person asked for, keeps what was said against it, and loads anew. */
export function useAct(reload: () => void) {
  const [said, setSaid] = useState('')
  const act = (work: Promise<{ userErrors: readonly { message: string }[] }>) =>
    void work.then(
      ({ userErrors }) => {
        setSaid(userErrors[0]?.message ?? '')
        reload()
      },
      error => setSaid(error.message),
    )
  return { said, act }
}

/** A button for what is not easily taken back: it asks, in its place, and does nothing until the answer is yes. */
export function AskedTwice({ label, question, onYes }: { label: string; question: string; onYes(): void }) {
  const words = useWords()
  const [isAsked, setAsked] = useState(false)
  if (!isAsked)
    return (
      <button type="button" className="plain" onClick={() => setAsked(true)}>
        {label}
      </button>
    )
  return (
    <div className="row asked-twice" role="alertdialog" aria-label={question}>
      <p>{question}</p>
      <button
        type="button"
        onClick={() => {
          setAsked(false)
          onYes()
        }}
      >
        {label}
      </button>
      {/* biome-ignore lint/a11y/noAutofocus: the question has just been called up, and the safe answer is the near one */}
      <button type="button" className="plain" autoFocus onClick={() => setAsked(false)}>
        {words.cancel}
      </button>
    </div>
  )
}

/** Whether a form was sent by its button of the value "preview": nothing is to be stored. */
export function isPreview({ nativeEvent }: FormEvent): boolean {
  return (nativeEvent as SubmitEvent).submitter?.getAttribute('value') === 'preview'
}

export function moneyOf(price: { amountMicros: number | string; currencyCode: string } | null | undefined): string {
  if (!price) return '–'
  return new Intl.NumberFormat(locale(), { style: 'currency', currency: price.currencyCode }).format(Number(price.amountMicros) / 1_000_000)
}

export function timeOf(time: string | null | undefined): string {
  // A date does not break over lines.
  return time ? new Date(time).toLocaleString(locale(), { dateStyle: 'medium', timeStyle: 'short' }).replaceAll(' ', '\u00A0') : '–'
}

export function numberOf(value: unknown): string {
  return typeof value === 'number' ? (Number.isInteger(value) ? value.toLocaleString() : value.toFixed(4)) : '–'
}

export function percent(share: number | null): string {
  return share === null ? '–' : `${(100 * share).toFixed(1)} %`
}
