import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { configTable } from '../src/config.js'

// What the documents say of commands, files and settings is so.
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync('docs', { recursive: true }).map(name => join('docs', String(name))),
].filter(name => name.endsWith('.md'))

describe.each(documents)('%s', name => {
  const text = readFileSync(name, 'utf8')

  test('names only commands that there are', () => {
    const named = [...text.matchAll(/npm run ([a-z][a-z:-]*)/g)].map(([, script]) => script)
    expect(named.filter(script => !Object.hasOwn(scripts, script))).toEqual([])
  })

  test('links only to files that there are', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, link]) => link)
    expect(links.filter(link => !existsSync(join(dirname(name), link)))).toEqual([])
  })

  test('names only settings that there are', () => {
    const known = new Set([...configTable.map(row => row.name), 'BELLWETHER_BENCH_PYTHON', 'BELLWETHER_CHROMIUM'])
    const named = [...text.matchAll(/BELLWETHER_[A-Z_]+/g)].map(([variable]) => variable)
    expect(named.filter(variable => !known.has(variable))).toEqual([])
  })
})

test('the configuration table of the README is that of the program', () => {
  const rows = readFileSync('README.md', 'utf8').match(/^\| `[A-Z_]+` \|.*$/gm)
  expect(rows).toEqual(
    configTable.map(({ name, default: value, about }) => `| \`${name}\` | ${value === '' ? '–' : `\`${value}\``} | ${about} |`),
  )
})
