import { join } from 'node:path'
import { detectSpikes, type MentionCounts, type OpinionSpike } from '../../algorithms/text/opinion.js'
import { type Method, measured, type Protocol, ProtocolError } from './protocol.js'
import { csvRows } from './texts.js'

const DATA = '../shared/data/spike_synth'
const WARM_UP = 672
const WEEK = 168
const SLACK = 6

interface Stream extends MentionCounts {
  events: { start: number; end: number }[]
}

type Detector = (stream: Stream) => Pick<OpinionSpike, 'start' | 'end'>[]

const detectors: Readonly<Record<string, Detector>> = {
  never: () => [],
  'rolling-z': rollingZ,
  'hour-of-week': stream => detectSpikes(stream, { warmUp: WARM_UP }),
}

/** 40 synthetic hourly streams of mentions with planted events: alerts up to six hours apart are one; one that overlaps an event (and six hours) hits it. */
export const opinion: Protocol = {
  name: 'opinion',
  about: 'spike_synth: hourly mentions with planted surges of volume, of negative share, or of both',
  run: function* ({ data = DATA, methods }) {
    yield* measured(
      'opinion',
      Object.entries(detectors).map(
        ([name, detector]): Method<readonly Stream[]> => ({ name, run: streams => measure(streams, detector) }),
      ),
      streamsIn(data),
      methods,
    )
  },
}

function streamsIn(folder: string): Stream[] {
  const streams = new Map<number, { total: number[]; negative: number[]; events: Stream['events'] }>()
  csvRows(folder, 'streams.csv', ['stream', 'hour', 'total', 'negative']).forEach((row, at) => {
    const [stream, hour, total, negative] = [row.stream, row.hour, row.total, row.negative].map(Number)
    const known = streams.get(stream) ?? { total: [], negative: [], events: [] }
    if (!(hour === known.total.length && negative >= 0 && total >= negative))
      throw new ProtocolError(`${join(folder, 'streams.csv')} row ${at + 1}: hours must follow each other, and negatives are a part of all`)
    streams.set(stream, known)
    known.total.push(total)
    known.negative.push(negative)
  })
  csvRows(folder, 'events.csv', ['stream', 'start_hour', 'end_hour_exclusive']).forEach((row, at) => {
    const stream = streams.get(Number(row.stream))
    if (!stream) throw new ProtocolError(`${join(folder, 'events.csv')} row ${at + 1}: there is no stream ${row.stream}`)
    stream.events.push({ start: Number(row.start_hour), end: Number(row.end_hour_exclusive) })
  })
  return [...streams.values()].map(stream => ({ ...stream, period: WEEK }))
}

function measure(streams: readonly Stream[], detector: Detector): Record<string, number> {
  let [hits, events, falseAlarms, hours] = [0, 0, 0, 0]
  const delays: number[] = []
  for (const stream of streams) {
    const alerts = merged(detector(stream))
    const used = new Set<number>()
    for (const { start, end } of stream.events) {
      events++
      const found = alerts.flatMap((alert, at) => (alert.end >= start && alert.start <= end + SLACK ? [at] : []))
      if (found.length === 0) continue
      hits++
      for (const at of found) used.add(at)
      delays.push(Math.max(0, alerts[found[0]].start - start))
    }
    falseAlarms += alerts.length - used.size
    hours += stream.total.length - WARM_UP
  }
  const recall = hits / events
  const precision = hits / Math.max(1, hits + falseAlarms)
  delays.sort((a, b) => a - b)
  return {
    f1: recall + precision > 0 ? (2 * precision * recall) / (precision + recall) : 0,
    recall,
    precision,
    falseAlarmsPerWeek: falseAlarms / (hours / WEEK),
    medianDelayHours: delays[delays.length >> 1] ?? 0,
    p90DelayHours: delays[Math.floor(0.9 * delays.length)] ?? 0,
    events,
  }
}

function merged(alerts: Pick<OpinionSpike, 'start' | 'end'>[]) {
  const out: { start: number; end: number }[] = []
  for (const { start, end } of alerts) {
    const last = out.at(-1)
    if (last && start - last.end <= SLACK) last.end = Math.max(last.end, end)
    else out.push({ start, end })
  }
  return out
}

/** The last 24 hours' mean and deviation, and those of their negative shares: what a first attempt would do. */
function rollingZ({ total, negative }: Stream) {
  const alerts: { start: number; end: number }[] = []
  const shares = Array.from(total, (count, at) => negative[at] / Math.max(1, count))
  const momentsOf = (values: ArrayLike<number>, step: number) => {
    const window = Array.from({ length: 24 }, (_, at) => values[step - 24 + at])
    const mean = window.reduce((sum, value) => sum + value, 0) / 24
    return { mean, deviation: Math.sqrt(window.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 24) }
  }
  for (let step = WARM_UP; step < total.length; step++) {
    const [volume, share] = [momentsOf(total, step), momentsOf(shares, step)]
    const isLoud = (total[step] - volume.mean) / (volume.deviation + 1) > 4
    const isBad = total[step] >= 5 && (shares[step] - share.mean) / (share.deviation + 0.05) > 4
    if (isLoud || isBad) alerts.push({ start: step, end: step })
  }
  return alerts
}
