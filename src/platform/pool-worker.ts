// Runs in a worker thread: loads the family's compiled index once and calls the function asked for.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

interface Request {
  root: string
  family: string
  function: string
  args: readonly unknown[]
}

export default async function run({ root, family, function: name, args }: Request): Promise<{ result: unknown; seconds: number }> {
  if (!/^[a-z][a-z-]*$/.test(family)) throw new TypeError(`"${family}" is no family of algorithms`)
  const module = await import(pathToFileURL(join(root, 'dist/src/algorithms', family, 'index.js')).href)
  if (typeof module[name] !== 'function') throw new TypeError(`The family ${family} exports no function ${name}`)
  const startedAt = performance.now()
  const result = await module[name](...args)
  return { result, seconds: (performance.now() - startedAt) / 1000 }
}
