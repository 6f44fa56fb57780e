// npm run bench [-- names] [--smoke] [--write]: measures side by side with the peers; --write puts the table into docs/benchmarks.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { audienceScoring } from './audiences.js'
import type { Benchmark, Row } from './bench.js'
import { bidding, ledger } from './bidding.js'
import { bulkImport } from './bulk-import.js'
import { diversityKnob } from './diversity.js'
import { faqServing } from './faq.js'
import { floor } from './floor.js'
import { recommendGrowth, recommendTraining } from './recommend.js'
import { seedMethod } from './seed-method.js'
import { segmentsBenchmark } from './segments.js'
import { serving } from './serving.js'
import { servingMillion } from './serving-million.js'
import { boosting, ftrl, kMeansBenchmark } from './tabular.js'
import { retrievalSpeed, sentimentSpeed, sentimentTraining } from './text.js'
import { track } from './track.js'

export const benchmarks: readonly Benchmark[] = [
  seedMethod,
  floor,
  serving,
  servingMillion,
  bulkImport,
  track,
  ftrl,
  boosting,
  kMeansBenchmark,
  recommendTraining,
  recommendGrowth,
  sentimentSpeed,
  sentimentTraining,
  retrievalSpeed,
  segmentsBenchmark,
  bidding,
  ledger,
  faqServing,
  diversityKnob,
  audienceScoring,
]

const FILE = 'docs/benchmarks.md'
const args = process.argv.slice(2)
const smoke = args.includes('--smoke')
const names = args.filter(arg => !arg.startsWith('--'))
const unknown = names.filter(name => !benchmarks.some(each => each.name === name))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are ${benchmarks.map(each => each.name).join(', ')}`)
  process.exit(1)
}
const rows: Row[] = []
for (const benchmark of benchmarks.filter(each => names.length === 0 || names.includes(each.name))) {
  console.error(`${benchmark.name} …`)
  rows.push(...(await benchmark.run({ smoke })))
}
if (smoke) console.log(`Smoke run of ${benchmarks.length} benchmarks passed`)
else {
  const table = tableOf(rows)
  console.log(table)
  if (args.includes('--write')) {
    const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`
    const text = readFileSync(FILE, 'utf8').replace(
      /<!-- table -->[\s\S]*<!-- \/table -->/,
      `<!-- table -->\n${machine}\n\n${table}\n<!-- /table -->`,
    )
    writeFileSync(FILE, text)
  }
}
process.exit(0)

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ benchmark, ours, peer, ratio, bar }) => `| ${benchmark} | ${ours} | ${peer} | ${ratio} | ${bar} |`)
  return ['| benchmark | Bellwether | peer | ratio | bar |', '|---|---|---|---|---|', ...lines].join('\n')
}
