// The one door of every command: brings the checkout into a runnable state (dependencies, Prisma client, compiled code, console), each part
// only when its inputs changed, then runs the command. Imports nothing but Node.js, because node_modules may not exist yet.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import module from 'node:module'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
process.chdir(root)
const [command = 'start', ...args] = process.argv.slice(2)
const env = {
  ...process.env,
  PRISMA_SCHEMA_ENGINE_BINARY: process.env.PRISMA_SCHEMA_ENGINE_BINARY ?? process.execPath,
  PRISMA_HIDE_UPDATE_MESSAGE: '1',
}

const NEEDS_TOOLS = new Set(['test', 'check', 'check-node', 'bench'])
/** The console is made from the schema's documents, so what makes those must run without it. */
const NEEDS_CONSOLE = new Set(['start', 'server', 'build', 'test', 'bench'])
const BUNDLE = 'dist/bundle'

const commands = {
  start: () => load('bundle/main.js'),
  server: () => load('bundle/main.js', 'server'),
  worker: () => load('bundle/main.js', 'worker'),
  build: async () => undefined,
  import: () => load('src/commands/import.js'),
  evaluate: () => load('src/commands/evaluate.js'),
  bench: () => load('test/bench/index.js'),
  'model-register': () => load('src/commands/model-register.js'),
  replay: () => load('src/commands/replay.js'),
  migration: () => load('src/commands/migration.js'),
  schema: () => load('src/commands/schema.js'),
  test: () => jest(args),
  check: () =>
    runAll(
      ['biome', 'check', '.'],
      ['tsc', '--noEmit'],
      [process.execPath, 'src/start.mjs', 'schema', '--check'],
      ['graphql-codegen', '--config', 'codegen.yml', '--check'],
      [process.execPath, 'src/start.mjs', 'test'],
    ),
  'check-node': () => load('src/commands/check-node.js'),
}

if (!Object.hasOwn(commands, command)) fail(`There is no command "${command}". Commands: ${Object.keys(commands).join(', ')}`)
requireNode([20, 19])
withLock(() => {
  installDependencies()
  generateClient()
  compileKernels()
  compile()
  bundle()
  if (NEEDS_CONSOLE.has(command)) buildConsole()
})
await commands[command]()

function requireNode([major, minor]) {
  const [a, b] = process.versions.node.split('.').map(Number)
  if (a < major || (a === major && b < minor)) fail(`Bellwether needs Node.js ${major}.${minor} or newer; this is ${process.versions.node}`)
}

/** What runs the platform is half of all packages; the tools of whoever works on it come when one of them is asked for, beside the others. */
function installDependencies() {
  const stamp = 'node_modules/.bellwether-installed'
  const all = hashOf(['package-lock.json'])
  const present = readIf(stamp)
  const hadTools = present !== '' && !present.endsWith(' runtime')
  const needed = NEEDS_TOOLS.has(command) || hadTools ? all : `${all} runtime`
  if (present === all || present === needed) return
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm']
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const isAddition = present === `${all} runtime`
  const how = isAddition ? ['install', '--no-save', '--include=dev'] : ['ci', needed === all ? '--include=dev' : '--omit=dev']
  say(isAddition ? 'Installing the tools for tests and checks (once) …' : 'Installing dependencies (once) …')
  run([...npm, ...how, ...quiet], `npm ${how[0]} failed; is the npm registry reachable?`)
  writeFileSync(`${stamp}.part`, needed)
  renameSync(`${stamp}.part`, stamp)
}

function generateClient() {
  stamped('src/platform/generated/.stamp', hashOf(['prisma/schema.prisma', 'package-lock.json']), () => {
    rmSync('src/platform/generated', { recursive: true, force: true })
    run([process.execPath, 'node_modules/prisma/build/index.js', 'generate'], 'prisma generate failed', 'ignore')
  })
}

/** AssemblyScript → SIMD WebAssembly, kept as text in a generated module, so that threads and tests load it without reading files. */
function compileKernels() {
  const folder = 'src/algorithms/math/kernels'
  const target = 'src/algorithms/math/generated'
  const sources = walk(folder).filter(file => file.endsWith('.ts'))
  stamped(join(target, '.stamp'), hashOf([...sources, 'src/start.mjs', 'package-lock.json']), () => {
    mkdirSync(target, { recursive: true })
    const options = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--enable', 'threads']
    const memory = ['--importMemory', '--sharedMemory', '--maximumMemory', '65536']
    const outputOf = source => join(target, `${basename(source, '.ts')}.wasm`)
    // One process for all: the compiler takes longer to warm up than to compile.
    const script = `import asc from 'assemblyscript/asc'
      for (const args of ${JSON.stringify(sources.map(source => [source, '--outFile', outputOf(source), ...options, ...memory]))}) {
        const { error, stderr } = await asc.main(args)
        if (error) { process.stderr.write(stderr.toString() + error.message + '\\n'); process.exit(1) }
      }`
    run([process.execPath, '--input-type=module', '-e', script], 'Compiling the kernels failed')
    const modules = sources.map(source => {
      const text = `  ${JSON.stringify(basename(source, '.ts'))}: '${readFileSync(outputOf(source)).toString('base64')}',`
      rmSync(outputOf(source))
      return text
    })
    writeFileSync(join(target, 'kernels.ts'), `export const kernels = {\n${modules.join('\n')}\n}\n`)
  })
}

/** TypeScript → dist/, file by file, only what is newer than its output; outputs without a source are removed. */
function compile() {
  const sources = ['src', 'jobs', 'prisma', 'test']
    .flatMap(folder => walk(folder))
    .filter(file => file.endsWith('.ts') && !file.endsWith('.d.ts') && !file.endsWith('.test.ts') && !isOfAnotherBuild(file))
  const settings = hashOf(['.swcrc', 'package-lock.json'])
  if (readIf('dist/.stamp') !== settings) rmSync('dist', { recursive: true, force: true })
  const outputs = new Map(sources.map(file => [join('dist', file.replace(/\.ts$/, '.js')), file]))
  const foreign = [join('dist', 'console'), BUNDLE].map(folder => folder + sep)
  const gone = walk('dist').filter(file => file.endsWith('.js') && !outputs.has(file) && !foreign.some(folder => file.startsWith(folder)))
  for (const file of gone) rmSync(file)
  const stale = [...outputs].filter(([output, source]) => modified(output) <= modified(source))
  if (stale.length + gone.length > 0) rmSync(BUNDLE, { recursive: true, force: true })
  if (stale.length > 0) {
    const script = `const swc = require('@swc/core'); const fs = require('fs'); const path = require('path')
      for (const [output, source] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
        const { code } = swc.transformFileSync(source, { sourceFileName: path.relative(path.dirname(output), source) })
        fs.mkdirSync(path.dirname(output), { recursive: true }); fs.writeFileSync(output + '.part', code); fs.renameSync(output + '.part', output) }`
    const { status } = spawnSync(process.execPath, ['-e', script], {
      input: JSON.stringify(stale),
      stdio: ['pipe', 'inherit', 'inherit'],
      env,
    })
    if (status !== 0) fail('Compiling failed; see the message above')
  }
  mkdirSync('dist', { recursive: true })
  writeFileSync('dist/.stamp', settings)
}

function bundle() {
  stamped(`${BUNDLE}/.stamp`, `${hashOf(['src/bundle.mjs', 'package-lock.json'])} ${process.versions.v8}`, () => {
    rmSync(BUNDLE, { recursive: true, force: true })
    rmSync(`${BUNDLE}.part`, { recursive: true, force: true })
    run([process.execPath, 'src/bundle.mjs', `${BUNDLE}.part`], 'Bundling the compiled code failed')
    renameSync(`${BUNDLE}.part`, BUNDLE)
  })
}

function isOfAnotherBuild(file) {
  return [join('src', 'console'), join('src', 'algorithms', 'math', 'kernels')].some(folder => file.startsWith(folder + sep))
}

function buildConsole() {
  if (!existsSync('src/console/vite.config.mjs')) return
  stamped('dist/console/.stamp', hashOf([...walk('src/console'), 'package-lock.json']), () => {
    say('Building the console …')
    run(
      [
        process.execPath,
        'node_modules/vite/bin/vite.js',
        'build',
        'src/console',
        '--config',
        'src/console/vite.config.mjs',
        '--logLevel',
        'error',
      ],
      'Building the console failed',
    )
  })
}

function jest(args) {
  const options = [...process.execArgv, '--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js', ...args]
  const child = spawn(process.execPath, options, { stdio: 'inherit', env: { ...env, NODE_ENV: 'test' } })
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code))
}

function runAll(...steps) {
  const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`
  for (const [program, ...rest] of steps) {
    say(`› ${[program, ...rest].join(' ')}`)
    const { status } = spawnSync(program, rest, { stdio: 'inherit', env: { ...env, PATH: path } })
    if (status !== 0) process.exit(status ?? 1)
  }
}

async function load(file, ...first) {
  module.enableCompileCache?.(join(root, 'dist', 'compile-cache'))
  process.argv = [process.argv[0], join(root, 'dist', file), ...first, ...args]
  await import(pathToFileURL(join(root, 'dist', file)).href)
}

/** Runs `make` unless the stamp file already says `key`; the stamp is written last, so an interrupted run is repeated. */
function stamped(stamp, key, make) {
  if (readIf(stamp) === key) return
  make()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(`${stamp}.part`, key)
  renameSync(`${stamp}.part`, stamp)
}

/** One preparation at a time in this checkout; a lock left behind by a killed process is taken over. */
function withLock(work) {
  const lock = '.bellwether-build.lock'
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') fail(`Cannot write into ${root}: ${error.message}`)
      if (!isAlive(Number(readIf(lock)))) rmSync(lock, { force: true })
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    }
  }
  const release = () => rmSync(lock, { force: true })
  process.once('exit', release)
  work()
  release()
  process.off('exit', release)
}

function isAlive(pid) {
  if (!pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function run([program, ...rest], failure, stdout = 'inherit') {
  const { status } = spawnSync(program, rest, {
    stdio: ['ignore', stdout, 'inherit'],
    env,
    shell: program === 'npm' && process.platform === 'win32',
  })
  if (status !== 0) fail(failure)
}

function walk(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => relative(root, join(root, entry.parentPath ?? entry.path, entry.name)))
    .filter(file => !file.includes('node_modules'))
    .sort()
}

function hashOf(files) {
  const hash = createHash('sha256').update(process.platform + process.arch)
  for (const file of files) if (existsSync(file)) hash.update(file).update(readFileSync(file))
  return hash.digest('hex')
}

function modified(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function readIf(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

function say(text) {
  process.stderr.write(`${text}\n`)
}

function fail(text) {
  say(text)
  process.exit(1)
}
