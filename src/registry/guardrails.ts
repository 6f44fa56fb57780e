import type { Metrics, Task } from './task.js'

export interface Guardrail {
  name: string
  passed: boolean
  /** What was compared, in a sentence with both numbers. */
  finding: string
}

/** The conditions a model must meet before a person may approve it. */
export interface Guardrails {
  passed: boolean
  checks: Guardrail[]
}

interface Candidate {
  task: Pick<Task<never>, 'primary' | 'minimumRows'>
  metrics: Metrics
  baseline: Metrics
  /** The live model's algorithm and parameters on the same split; absent when none is live. */
  live?: Metrics
  rows: number
  /** Why the artifact could not be loaded again, if so. */
  loadFault?: string
}

export function guard({ task, metrics, baseline, live, rows, loadFault }: Candidate): Guardrails {
  const { metric, higherIsBetter } = task.primary
  const gain = (against: Metrics) => (metrics[metric] - against[metric]) * (higherIsBetter ? 1 : -1)
  const shown = (value: number | undefined) => (value === undefined ? 'nothing' : Number(value).toFixed(4))
  const unfinished = Object.entries(metrics).filter(([, value]) => !Number.isFinite(value))
  const checks: Guardrail[] = [
    { name: 'enough data', passed: rows >= task.minimumRows, finding: `${rows} rows; at least ${task.minimumRows} are wanted` },
    {
      name: 'metrics complete',
      passed: metric in metrics && unfinished.length === 0,
      finding:
        unfinished.length === 0
          ? `${Object.keys(metrics).length} metrics, all finite`
          : `not finite: ${unfinished.map(([name]) => name).join(', ')}`,
    },
    {
      name: 'better than the baseline',
      passed: gain(baseline) > 0,
      finding: `${metric} ${shown(metrics[metric])} against ${shown(baseline[metric])} of the baseline`,
    },
    {
      name: 'not worse than the live model',
      passed: !live || gain(live) >= 0,
      finding: live ? `${metric} ${shown(metrics[metric])} against ${shown(live[metric])} of the live one` : 'no model is live yet',
    },
    { name: 'artifact loads again', passed: !loadFault, finding: loadFault ?? 'stored bytes were read back' },
  ]
  if ('coverage' in metrics)
    checks.push({
      name: 'covers the catalogue',
      passed: metrics.coverage > 0,
      finding: `${shown(metrics.coverage)} of the catalogue is recommended to somebody`,
    })
  return { passed: checks.every(check => check.passed), checks }
}
