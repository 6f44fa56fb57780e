import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

export const CONNECTIONS = 32
export const HELLO = '{ __typename }'

/** Where requests go, and a key that opens it. */
export interface Door {
  url: string
  key: string
}

export interface Round {
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** Requests that were answered. */
  total: number
}

export interface Measured extends Round {
  /** Time on a core that the server used for one request; a machine that does other work as well makes requests wait, not this grow. */
  cpuMicros: number
}

/** Asks the same again and again for so many seconds, or each once, without a pause on any connection; an answer that is no success ends the benchmark. */
export async function load(
  { url, key }: Door,
  requests: readonly { body: string; path?: string }[],
  seconds: number | 'once',
  connections = CONNECTIONS,
): Promise<Round> {
  const requestOf = (request: { body: string; path?: string }) => ({ ...request, method: 'POST' as const, headers: headersOf(key) })
  let connection = 0
  const result = await autocannon({
    url,
    connections,
    ...(seconds === 'once' ? { amount: requests.length } : { duration: seconds }),
    requests: [requestOf(requests[0])],
    // Each connection asks for its own part of them: all of them at each would take the load's own machine seconds to write down, and memory to keep.
    setupClient: client => {
      const own = requests.filter((_, at) => at % connections === connection)
      connection++
      if (own.length > 0) client.setRequests(own.map(requestOf))
    },
  })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} answers were no success, ${result.errors} requests failed`)
  const { p50, p99 } = result.latency
  return { perSecond: result.requests.average, p50, p99, total: result.requests.total }
}

/** The same, and what it cost the process that answers. */
export async function measured(
  server: Door & { pid: number | undefined },
  requests: readonly { body: string; path?: string }[],
  seconds: number,
): Promise<Measured> {
  const before = cpuSecondsOf(server.pid)
  const round = await load(server, requests, seconds)
  return { ...round, cpuMicros: ((cpuSecondsOf(server.pid) - before) * 1e6) / round.total }
}

/** Seconds on a core that a process and those it started have used so far, where the system tells. */
function cpuSecondsOf(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    return children.reduce((sum, child) => sum + cpuSecondsOf(Number(child)), (Number(fields[11]) + Number(fields[12])) / 100)
  } catch {
    return Number.NaN
  }
}

export function bodiesOf(query: string, variables: readonly object[] = [{}]): { body: string }[] {
  return variables.map(each => ({ body: JSON.stringify({ query, variables: each }) }))
}

export function headersOf(key: string) {
  return { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
}
