import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Platform {
  process: ChildProcess
  /** Everything it has written so far. */
  output(): string
  /** Resolves when the output matches; rejects when the process ends before. */
  says(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<number | null>
}

/** `npm start` as a user has it: the compiled platform in processes of its own, without npm in between. */
export function startPlatform(home: string, env: Record<string, string> = {}, command = 'start'): Platform {
  // The settings of the test run itself are not those of the platform.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(BELLWETHER_|NODE_|JEST_|DATABASE_URL|REDIS_URL|PORT)/.test(name))
  const child = spawn(process.execPath, [join(process.cwd(), 'src/start.mjs'), command], {
    env: { ...Object.fromEntries(inherited), BELLWETHER_HOME: home, BELLWETHER_DEMO: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  const waiting = new Set<() => void>()
  const hear = (chunk: Buffer) => {
    text += chunk
    for (const wake of waiting) wake()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  let isOver = false
  const ended = new Promise<number | null>(done => {
    child.once('close', code => {
      isOver = true
      for (const wake of waiting) wake()
      done(code)
    })
  })
  return {
    process: child,
    output: () => text,
    ended,
    says: pattern =>
      new Promise((done, failed) => {
        const look = () => {
          const match = pattern.exec(text)
          if (!match && !isOver) return
          waiting.delete(look)
          if (match) done(match)
          else failed(new Error(`The platform ended without saying ${pattern}: ${text.slice(-2_000)}`))
        }
        waiting.add(look)
        look()
      }),
  }
}

/** The URL once it serves. */
export async function urlOf(platform: Platform): Promise<string> {
  const [, url] = await platform.says(/"url":"(http:[^"]+)"[^\n]*"msg":"server ready"/)
  return url
}

export function keysOf(home: string): Record<string, string> {
  return JSON.parse(readFileSync(join(home, 'keys.json'), 'utf8'))
}

/** Pid of the embedded database, if it has one. */
export function postgresPid(home: string): number | undefined {
  const file = join(home, 'postgres/postmaster.pid')
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined
}
