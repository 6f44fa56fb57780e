import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from './platform/errors.js'
import type { Log } from './platform/log.js'

interface Holder {
  pid: number
  /** npm and its shell, when they started the holder: once one of them is gone (killed), nobody watches the holder any more. */
  launchers: number[]
}

const TAKEOVER_MS = 15_000
const LOCK_LEFT_AFTER_MS = 1_000

/**
 * Claims `home` for this process. A claim left by a dead process is void; a process whose launcher was killed is asked to leave.
 * Throws `Unavailable` when another one lives there.
 */
export async function holdHome(home: string, log: Log): Promise<{ release(): Promise<void> }> {
  const file = join(home, 'bellwether.pid')
  const claim = JSON.stringify({ pid: process.pid, launchers: launchers() } satisfies Holder)
  for (;;) {
    const holder = await alone(`${file}.lock`, () => {
      const found = readHolder(file)
      if (found && found.pid !== process.pid && isBellwether(found.pid)) return found
      writeFileSync(`${file}.part`, claim)
      renameSync(`${file}.part`, file)
      return undefined
    })
    if (!holder) break
    if (holder.launchers.every(isAlive))
      throw new Unavailable(
        `Bellwether already runs in ${home} (process ${holder.pid}); stop it, or set BELLWETHER_HOME and PORT for a second one`,
      )
    log.warn('a process that lost its launcher is stopped', { pid: holder.pid })
    await stop(holder.pid)
  }
  return {
    release: async () => {
      if (readHolder(file)?.pid === process.pid) rmSync(file, { force: true })
    },
  }
}

/** Looking and claiming are one step, also for two that start at the same moment. The step takes no time, so a lock that stays was left by a killed process. */
async function alone<T>(lock: string, work: () => T): Promise<T> {
  const deadline = Date.now() + LOCK_LEFT_AFTER_MS
  for (;;) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (Date.now() > deadline) rmSync(lock, { recursive: true, force: true })
      else await sleep(10)
    }
  }
  try {
    return work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function launchers(): number[] {
  if (!process.env.npm_lifecycle_event) return []
  const status = `/proc/${process.ppid}/status`
  const grandparent = existsSync(status) ? Number(/^PPid:\s*(\d+)/m.exec(readFileSync(status, 'utf8'))?.[1]) : 0
  return grandparent > 1 ? [process.ppid, grandparent] : [process.ppid]
}

function readHolder(file: string): Holder | undefined {
  if (!existsSync(file)) return undefined
  try {
    const { pid, launchers } = JSON.parse(readFileSync(file, 'utf8'))
    return Number.isInteger(pid) && Array.isArray(launchers) ? { pid, launchers } : undefined
  } catch {
    return undefined
  }
}

/** Alive, and not a stranger who got the number. */
function isBellwether(pid: number): boolean {
  if (!isAlive(pid)) return false
  const commandLine = `/proc/${pid}/cmdline`
  if (process.platform !== 'linux' || !existsSync(commandLine)) return true
  try {
    return /start\.mjs|main\.js/.test(readFileSync(commandLine, 'utf8'))
  } catch {
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return pid > 1
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function stop(pid: number) {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    try {
      process.kill(pid, signal)
    } catch {
      return
    }
    for (const deadline = Date.now() + TAKEOVER_MS; Date.now() < deadline; await sleep(50)) if (!isAlive(pid)) return
  }
}
