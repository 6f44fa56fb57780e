import type { SignalMap, SignalName } from '../../src/platform/jobs.js'

/** Signals within one process, and a list of what was announced. */
export function localSignals() {
  const announced: { name: SignalName; payload: unknown }[] = []
  const listeners = new Set<readonly [SignalName, (payload: never) => void]>()
  return {
    announced,
    announce: async <Name extends SignalName>(name: Name, payload: SignalMap[Name]) => {
      announced.push({ name, payload })
      for (const [wanted, listener] of listeners) if (wanted === name) listener(payload as never)
    },
    on: <Name extends SignalName>(name: Name, listener: (payload: SignalMap[Name]) => void) => {
      const entry = [name, listener as (payload: never) => void] as const
      listeners.add(entry)
      return () => void listeners.delete(entry)
    },
  }
}
