// Runs in a worker thread: loads the family's compiled index once and calls the function asked for.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Piscina } from 'piscina'

interface Request {
  root: string
  family: string
  function: string
  args: readonly unknown[]
}

export default async function run(request: Request): Promise<{ result: unknown; seconds: number }> {
  const called = await loaded(request)
  const startedAt = performance.now()
  const result = await called(...request.args)
  return { result, seconds: (performance.now() - startedAt) / 1000 }
}

let kept: Promise<(question: unknown) => unknown> | undefined

/** Answers from what this thread was started with: the request's function was called once, and what it returned answers each question. */
export async function ask(questions: readonly unknown[]): Promise<unknown[]> {
  const request = Piscina.workerData as Request
  kept ??= loaded(request).then(open => open(...request.args) as (question: unknown) => unknown)
  const answer = await kept
  return questions.map(question => answer(question))
}

async function loaded({ root, family, function: name }: Request): Promise<(...args: readonly unknown[]) => unknown> {
  if (!/^[a-z][a-z-]*$/.test(family)) throw new TypeError(`"${family}" is no family of algorithms`)
  const module = await import(pathToFileURL(join(root, 'dist/src/algorithms', family, 'index.js')).href)
  if (typeof module[name] !== 'function') throw new TypeError(`The family ${family} exports no function ${name}`)
  return module[name]
}
