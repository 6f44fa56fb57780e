import type { ModelRow, ReviewRow } from './model.repository.js'

type Facts = Pick<
  ModelRow,
  | 'task'
  | 'algorithm'
  | 'version'
  | 'params'
  | 'seed'
  | 'metrics'
  | 'baselineMetrics'
  | 'liveMetrics'
  | 'guardrails'
  | 'trainedAt'
  | 'trainedRows'
  | 'dataFrom'
  | 'dataTo'
  | 'seconds'
> & {
  /** What the training wants to tell: what a search tried, how parts are weighed. */
  notes?: readonly string[]
}

/** The model card (Mitchell et al. 2019), generated from the run, in Markdown. */
export function modelCard({
  task,
  algorithm,
  version,
  params,
  seed,
  metrics,
  baselineMetrics,
  liveMetrics,
  guardrails,
  trainedAt,
  trainedRows,
  dataFrom,
  dataTo,
  seconds,
  notes = [],
}: Facts): string {
  const day = (date: Date | null) => date?.toISOString().slice(0, 10) ?? 'unknown'
  const number = (value: number | undefined) => (value === undefined ? '–' : Number(value.toPrecision(4)).toString())
  const names = Object.keys(metrics)
  return `# ${task.toLowerCase().replaceAll('_', ' ')}: ${algorithm} version ${version}

Trained ${trainedAt.toISOString()} in ${seconds.toFixed(2)} s on ${trainedRows} rows from ${day(dataFrom)} to ${day(dataTo)}.

## How it was measured
The earlier part of the data taught it, the later part tested it; then it was fitted again on all of it. Baseline and live model were measured on the same split.

| metric | this model | baseline | live model |
|---|---|---|---|
${names.map(name => `| ${name} | ${number(metrics[name])} | ${number(baselineMetrics[name])} | ${number(liveMetrics?.[name])} |`).join('\n')}

## Guardrails: ${guardrails.passed ? 'passed' : 'BLOCKED'}
${guardrails.checks.map(({ name, passed, finding }) => `- ${passed ? '✓' : '✗'} ${name}: ${finding}`).join('\n')}

## Settings
Seed ${seed}; ${
    Object.entries(params)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ') || 'no parameters'
  }.
${notes.map(note => `- ${note}\n`).join('')}
## Limits
It knows what happened until ${day(dataTo)}, and later events of a visitor as they come in. It was measured on past behaviour, which past recommendations have shaped.
`
}

const VERDICTS = { APPROVED: 'approved', REJECTED: 'rejected', ROLLED_BACK: 'rolled back to' }

/** What was said of a model, as the last part of its card; empty while nothing was. */
export function reviewHistory(reviews: readonly Omit<ReviewRow, 'modelId'>[]): string {
  if (reviews.length === 0) return ''
  const lines = reviews.map(
    ({ at, by, verdict, note }) => `- ${at.toISOString()} ${VERDICTS[verdict]} by ${oneLine(by)}${note ? `: ${oneLine(note)}` : ''}`,
  )
  return `\n## Reviews\n${lines.join('\n')}\n`
}

/** A note may have lines of its own, but none of the card's. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
