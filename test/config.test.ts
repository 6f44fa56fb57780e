import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { ConfigError, configTable, readConfig } from '../src/config.js'

function faultsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}

test('an empty environment is a whole configuration, and it is frozen', () => {
  const config = readConfig({})
  expect(config).toMatchObject({ port: 4000, host: '127.0.0.1', demo: true, embedded: true, introspection: true, autoApprove: false })
  expect(Object.isFrozen(config)).toBe(true)
})

test('production switches the demo, introspection and the explorer off', () => {
  expect(readConfig({ NODE_ENV: 'production' })).toMatchObject({ demo: false, introspection: false })
  expect(readConfig({ NODE_ENV: 'production', BELLWETHER_INTROSPECTION: 'on' })).toMatchObject({ introspection: true })
})

test('every fault is told at once, each naming its variable', () => {
  const faults = faultsOf({
    PORT: 'eighty',
    DATABASE_URL: 'mysql://x',
    BELLWETHER_DEMO: 'maybe',
    REDIS_URL: 'nonsense',
    BELLWETHER_CURRENCY: 'euro',
  })
  for (const name of ['PORT', 'DATABASE_URL', 'BELLWETHER_DEMO', 'REDIS_URL', 'BELLWETHER_CURRENCY'])
    expect(faults.filter(fault => fault.startsWith(name))).toHaveLength(1)
})

test('a misspelt setting is a fault, because it would be silently off', () => {
  expect(faultsOf({ BELLWETHER_DEMOO: 'off' })).toEqual(['BELLWETHER_DEMOO is not a setting of Bellwether; is it misspelt?'])
})

describe('the URLs of the README', () => {
  test.each([
    ['REDIS_URL', 'redis+cluster://h1:6379,h2:6379'],
    ['REDIS_URL', 'redis+cluster://user:secret@10.0.0.1:6379,10.0.0.2:6379'],
    ['REDIS_URL', 'redis+sentinel://h1:26379,h2:26379/master-name'],
    ['REDIS_URL', 'redis://cache:6379'],
    ['DATABASE_URL', 'postgresql://user:password@db:5432/bellwether'],
  ])('%s=%s is taken', (name, value) => {
    expect(faultsOf({ [name]: value })).toEqual([])
  })

  test.each([
    ['REDIS_URL', 'redis+cluster://h1:6379,h2:99999'],
    ['DATABASE_URL', 'postgresql://user:p#ss@db:5432/bellwether'],
    ['DATABASE_URL', 'postgresql://user:password@db:99999/bellwether'],
  ])('%s=%s is refused, without telling the password', (name, value) => {
    const [fault, ...others] = faultsOf({ [name]: value })
    expect(fault).toMatch(new RegExp(`^${name} is no URL that can be read`))
    expect(fault).not.toMatch(/p#ss|user/)
    expect(others).toEqual([])
  })
})

describe('hostile values', () => {
  test.each([
    ['PORT', '-1'],
    ['PORT', '65536'],
    ['PORT', '4000; rm -rf /'],
    ['PORT', '9'.repeat(400)],
    ['BELLWETHER_THREADS', '0'],
    ['BELLWETHER_OIDC_ISSUER', 'javascript:'.repeat(1000)],
    ['DATABASE_URL', 'postgres'],
    ['BELLWETHER_SEED', 'NaN'],
  ])('%s=%.20s is refused', (name, value) => {
    expect(faultsOf({ [name]: value }).some(fault => fault.startsWith(name))).toBe(true)
  })
})

test('the configuration table of the README is the one the code reads', () => {
  const readme = readFileSync('README.md', 'utf8')
  for (const { name, default: fallback } of configTable)
    expect(readme).toMatch(new RegExp(`\\| \`${name}\` \\| ${fallback === '' ? '–' : `\`${fallback.replace('.', '\\.')}\``} \\|`))
})
