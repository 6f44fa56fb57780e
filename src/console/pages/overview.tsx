import { run } from '../api.js'
import { HealthDocument } from '../generated/documents.js'
import { Badge, go, Panel, Table, timeOf, useLoaded, useWords, Waiting } from '../parts.js'

export function Overview() {
  const words = useWords()
  const health = useLoaded(signal => run(HealthDocument, {}, signal), [])
  const { data } = health
  return (
    <>
      <Waiting of={health} />
      {data && (
        <>
          <div className="figures">
            <Figure title={words.users} value={data.users.totalCount} to="/users" />
            <Figure title={words.products} value={data.products.totalCount} to="/products" />
            <Figure title={words.waitingModels} value={data.waiting.totalCount} to="/models" />
          </div>
          <Panel title={words.health}>
            <Table
              rows={data.systemHealth}
              keyOf={row => row.stage}
              columns={[
                { title: words.stage, cell: row => row.stage },
                { title: words.state, cell: row => <Badge state={row.state} /> },
                { title: words.reason, cell: row => row.reason ?? '' },
                { title: words.lastSuccess, cell: row => timeOf(row.lastSuccessAt) },
                { title: words.rowsIn, cell: row => row.rowsIn?.toLocaleString() ?? '', isNumber: true },
                { title: words.rowsOut, cell: row => row.rowsOut?.toLocaleString() ?? '', isNumber: true },
              ]}
            />
          </Panel>
        </>
      )}
    </>
  )
}

function Figure({ title, value, to }: { title: string; value: number; to: string }) {
  return (
    <button type="button" className="figure" onClick={() => go(to)}>
      <strong>{value.toLocaleString()}</strong>
      <span>{title}</span>
    </button>
  )
}
