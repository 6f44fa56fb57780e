import { createReadStream, existsSync } from 'node:fs'
import { createGunzip } from 'node:zlib'
import type { AuctionLog } from '../algorithms/bidding/auction.js'

/** A fault of a log file, told in a sentence with file and line. */
export class BadLog extends Error {}

const NEEDED = ['click', 'price', 'pctr'] as const
const OPTIONAL = ['pcvr', 'conversion', 'value'] as const
type Column = (typeof NEEDED)[number] | (typeof OPTIONAL)[number]
const LONGEST_LINE = 100_000
/** Names that the same column has elsewhere. */
const ALIASES: Record<string, Column> = {
  clicked: 'click',
  y: 'click',
  market_price: 'price',
  payprice: 'price',
  theta: 'pctr',
  converted: 'conversion',
  revenue: 'value',
}
const RULES: Record<Column, { is: (value: number) => boolean; says: string }> = {
  click: { is: value => value === 0 || value === 1, says: '0 or 1' },
  conversion: { is: value => value === 0 || value === 1, says: '0 or 1' },
  price: { is: value => value >= 0 && value < Number.POSITIVE_INFINITY, says: 'a number, zero or more' },
  value: { is: value => value >= 0 && value < Number.POSITIVE_INFINITY, says: 'a number, zero or more' },
  pctr: { is: value => value >= 0 && value <= 1, says: 'a probability in [0, 1]' },
  pcvr: { is: value => value >= 0 && value <= 1, says: 'a probability in [0, 1]' },
}

/**
 * Reads an auction log line by line into typed arrays: `click price pctr [pcvr conversion value]`, separated by white space or commas, with or
 * without a header (with one, in any order and among other columns; names as above, or as iPinYou writes them), gzipped or not. Empty lines
 * are skipped. Throws `BadLog` on a missing file, column or number.
 */
export async function readAuctionLog(file: string): Promise<AuctionLog> {
  if (!existsSync(file)) throw new BadLog(`There is no ${file}`)
  const columns = new Map<Column, { at: number; values: Numbers }>()
  let line = 0
  let header: string[] = []
  for await (const next of linesOf(file)) {
    line++
    const text = (line === 1 ? next.replace(/^\uFEFF/, '') : next).trim()
    if (text === '') continue
    const cells = text.split(text.includes(',') ? /\s*,\s*/ : /\s+/)
    if (columns.size === 0) {
      header = headerOf(cells, file, line)
      for (const name of [...NEEDED, ...OPTIONAL])
        if (header.includes(name)) columns.set(name, { at: header.indexOf(name), values: new Numbers() })
      if (!/^[-+.\d]/.test(cells[0])) continue
    }
    for (const [name, { at, values }] of columns) {
      const cell = cells[at]
      if (cell === undefined || cell === '')
        throw new BadLog(
          `${file} line ${line}: ${name} is missing; the line has ${cells.length} of ${header.length} columns (${header.join(' ')})`,
        )
      const value = Number(cell)
      if (!RULES[name].is(value))
        throw new BadLog(`${file} line ${line}: ${name} is ${JSON.stringify(cell.slice(0, 60))}; it must be ${RULES[name].says}`)
      values.push(value)
    }
  }
  if (columns.size === 0) throw new BadLog(`${file} has no auctions`)
  const all = (name: Column) => columns.get(name)?.values.all() ?? null
  const [prices, pCtr] = [all('price'), all('pctr')] as Float64Array[]
  const [click, conversion] = [all('click') as Float64Array, all('conversion')]
  if (prices.length === 0) throw new BadLog(`${file} has a header and no auctions`)
  return {
    prices,
    pCtr,
    clicked: Uint8Array.from(click),
    pCvr: all('pcvr'),
    converted: conversion && Uint8Array.from(conversion),
    values: all('value'),
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const raw = createReadStream(file)
  const input = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw
  raw.on('error', error => input.destroy(error))
  input.setEncoding('utf8')
  let rest = ''
  try {
    for await (const chunk of input) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LONGEST_LINE) throw new BadLog(`${file} has a line of more than ${LONGEST_LINE} characters; is it a log?`)
      yield* lines
    }
  } catch (error) {
    throw error instanceof BadLog ? error : new BadLog(`${file} cannot be read: ${(error as Error).message}`)
  }
  if (rest !== '') yield rest
}

function headerOf(cells: string[], file: string, line: number): string[] {
  const isHeader = !/^[-+.\d]/.test(cells[0])
  const names = isHeader
    ? cells.map(cell => cell.toLowerCase().replace(/^"|"$/g, '')).map(cell => ALIASES[cell] ?? cell)
    : [...NEEDED, ...OPTIONAL].slice(0, Math.max(cells.length, NEEDED.length))
  const missing = isHeader ? NEEDED.filter(name => !names.includes(name)) : NEEDED.slice(cells.length)
  if (missing.length > 0)
    throw new BadLog(
      `${file} line ${line}: ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing; a log has the columns ${NEEDED.join(' ')} and may have ${OPTIONAL.join(' ')}, this one has ${isHeader ? cells.join(' ') : `${cells.length}`}`,
    )
  return names
}

/** Numbers of unknown count: a typed array that doubles. */
class Numbers {
  private values = new Float64Array(1024)
  private count = 0

  push(value: number) {
    if (this.count === this.values.length) {
      const larger = new Float64Array(2 * this.count)
      larger.set(this.values)
      this.values = larger
    }
    this.values[this.count++] = value
  }

  all(): Float64Array {
    return this.values.slice(0, this.count)
  }
}
