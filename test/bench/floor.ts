import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { type Benchmark, median, NODE_OPTIONS_OF_SERVERS, type Row } from './bench.js'
import { bodiesOf, CONNECTIONS, HELLO, type Measured, measured } from './load.js'

const ROUNDS = 5
const SECONDS = 4
const PEERS = { 'bare node:http': 'bare-http.mjs', 'stock Apollo Server on Fastify': 'stock-apollo.mjs' }
/** CPU microseconds a request that the notes on the dependencies give for the machine on which the bars were written down. */
const NOTED = { 'bare node:http': 16, 'stock Apollo Server on Fastify': 61 }

type Name = keyof typeof PEERS

/** What this machine lets any server do, by which bars in requests/s are to be read: they were set on one several times as fast. */
export const floor: Benchmark = {
  name: 'floor',
  run: async ({ smoke }) => {
    const servers = await Promise.all((Object.keys(PEERS) as Name[]).map(start))
    try {
      const hello = bodiesOf(HELLO)
      const rounds = new Map<Name, Measured[]>(servers.map(({ name }) => [name, []]))
      for (let round = 0; round < (smoke ? 1 : ROUNDS); round++) {
        for (const { name, url, child } of servers) {
          rounds.get(name)?.push(await measured({ url, key: 'none', pid: child.pid }, hello, smoke ? 1 : SECONDS))
        }
      }
      return smoke ? [] : [...rounds].map(([name, each]) => rowOf(name, each))
    } finally {
      for (const { child } of servers) child.kill('SIGKILL')
    }
  },
}

function rowOf(name: Name, rounds: readonly Measured[]): Row {
  const micros = median(rounds.map(({ cpuMicros }) => cpuMicros))
  return {
    benchmark: `{ __typename } of ${name}, ${CONNECTIONS} connections`,
    ours: '–',
    peer: `${Math.round(median(rounds.map(({ perSecond }) => perSecond)))} requests/s, ${Math.round(micros)} µs of a core each`,
    ratio: `${(micros / NOTED[name]).toFixed(1)} × the ${NOTED[name]} µs of stack.md`,
    bar: '–',
  }
}

async function start(name: Name): Promise<{ name: Name; url: string; child: ChildProcess }> {
  const child = spawn(process.execPath, [...NODE_OPTIONS_OF_SERVERS, join('test/bench/peers', PEERS[name])], {
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await new Promise<string>((done, failed) => {
    child.stdout?.once('data', chunk => done(String(chunk).trim()))
    child.once('exit', code => failed(new Error(`${name} ended with ${code}`)))
  })
  return { name, url, child }
}
