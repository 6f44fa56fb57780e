// npm run evaluate -- <protocol> [--data FOLDER] [--target COLUMN] [--json] [--methods a,b]: measures models by a protocol of docs/benchmarks.md.
import { parseArgs } from 'node:util'
import { abstention } from './protocols/abstention.js'
import { aspects } from './protocols/aspects.js'
import { bidding } from './protocols/bidding.js'
import { avazu, criteo } from './protocols/clicks.js'
import { faq } from './protocols/faq.js'
import { rating, topN } from './protocols/folder.js'
import { banking77, smp } from './protocols/intents.js'
import { ml100k } from './protocols/ml-100k.js'
import { onlineRetail } from './protocols/online-retail.js'
import { onlineRetailCustomers } from './protocols/online-retail-customers.js'
import { opinion } from './protocols/opinion.js'
import { adult, ctr, onlineShoppers, propensity } from './protocols/propensity.js'
import { type MethodResult, type Protocol, ProtocolError } from './protocols/protocol.js'
import { lcqmc, stackFaq } from './protocols/retrieval.js'
import { sentimentEn, sentimentZh } from './protocols/sentiment.js'
import { intent, retrieval, sentiment } from './protocols/text-folder.js'
import { cdnow, clv } from './protocols/value.js'

/** Every protocol there is. A new one is one file and its name here. */
const protocols: readonly Protocol[] = [
  ml100k,
  rating,
  topN,
  bidding,
  criteo,
  avazu,
  cdnow,
  clv,
  adult,
  onlineShoppers,
  propensity,
  ctr,
  onlineRetailCustomers,
  onlineRetail,
  sentimentZh,
  sentimentEn,
  banking77,
  smp,
  stackFaq,
  lcqmc,
  opinion,
  aspects,
  abstention,
  faq,
  sentiment,
  intent,
  retrieval,
]

try {
  await run()
  process.exit(0)
} catch (error) {
  if (!(error instanceof ProtocolError) && !(error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')) throw error
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(1)
}

async function run() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { data: { type: 'string' }, json: { type: 'boolean' }, methods: { type: 'string' }, target: { type: 'string' } },
  })
  const protocol = protocols.find(each => each.name === positionals[0])
  if (!protocol || positionals.length > 1) {
    throw new ProtocolError(
      `Usage: npm run evaluate -- <protocol> [--data FOLDER] [--target COLUMN] [--json] [--methods a,b]\n${protocols.map(({ name, about }) => `  ${name.padEnd(24)} ${about}`).join('\n')}`,
    )
  }
  const results: MethodResult[] = []
  for await (const result of protocol.run({
    data: values.data,
    target: values.target,
    methods: values.methods?.split(',').map(name => name.trim()),
  })) {
    results.push(result)
    if (values.json) process.stdout.write(`${JSON.stringify(flat(result))}\n`)
    else
      process.stderr.write(
        `${result.protocol}${result.part ? ` ${result.part}` : ''}: ${result.method} in ${result.seconds.toFixed(2)} s\n`,
      )
  }
  if (!values.json)
    for (const title of new Set(results.map(titleOf))) process.stdout.write(tableOf(results.filter(result => titleOf(result) === title)))
}

function flat({ protocol, part, slot, method, metrics, seconds, peakMegabytes }: MethodResult) {
  return { protocol, ...(slot ? { slot } : part ? { part } : {}), method, ...metrics, seconds: Number(seconds.toFixed(3)), peakMegabytes }
}

function titleOf({ protocol, part }: MethodResult): string {
  return [protocol, part].filter(Boolean).join(' ')
}

function tableOf(results: readonly MethodResult[]): string {
  const names = [...new Set(results.flatMap(({ metrics }) => Object.keys(metrics)))]
  const header = [titleOf(results[0]), ...names, 'seconds', 'MB']
  const rows = results.map(({ method, metrics, seconds, peakMegabytes }) => [
    method,
    ...names.map(name => (metrics[name] === undefined ? '' : shown(metrics[name]))),
    seconds.toFixed(2),
    String(peakMegabytes),
  ])
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map(row => row[column].length)))
  const line = (cells: string[]) =>
    `${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  ')}\n`
  return `\n${line(header)}${rows.map(line).join('')}`
}

function shown(value: number | undefined): string {
  if (value === undefined) return '–'
  return Number.isInteger(value) ? String(value) : value.toFixed(4)
}
