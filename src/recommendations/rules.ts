import { type AttributeFilter, cleanProductFilter, type Passing, type ProductFilter, productTest } from '../catalogue/product-filter.js'
import { InvalidInput } from '../platform/errors.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'

export const BASES = ['HISTORY', 'CONTEXT', 'CART'] as const
export type Basis = (typeof BASES)[number]
export const CAP_KINDS = ['CATEGORY', 'BRAND'] as const
export type CapKind = (typeof CAP_KINDS)[number]

export interface Level {
  /** From so many products known of the user on. */
  fromProducts: number
  algorithm: string
}
export interface NamedFilter {
  name: string
  where: ProductFilter
}
export interface Boost extends NamedFilter {
  /** The score is multiplied by it; below 1 it holds back. */
  factor: number
}
export interface Pin {
  productExternalId: string
  /** From 1. */
  position: number
}
export interface Cap {
  by: CapKind
  /** This one only; each unless given. */
  value: string | null
  most: number
}

/** What steers a placement; stored as JSON, money as text. */
export interface PlacementRules {
  algorithm: string
  levels: readonly Level[]
  basis: Basis
  diversity: number
  onlyBought: boolean
  excludeSeen: boolean
  excludeBought: boolean
  /** Leaves out what was shown (IMPRESSION) in so many days; 0: nothing. */
  excludeShownDays: number
  /** Products with fewer pieces are left out; those that are not counted stay. */
  minimumStock: number
  /** The score is multiplied by 1 + weight · margin. */
  marginWeight: number
  /** The score is multiplied by 1 − weight · (lower bound of the share of negative reviews). */
  sentimentWeight: number
  filters: readonly NamedFilter[]
  boosts: readonly Boost[]
  pins: readonly Pin[]
  caps: readonly Cap[]
}

export const NO_RULES: PlacementRules = {
  algorithm: 'AUTO',
  levels: [],
  basis: 'HISTORY',
  diversity: 0,
  onlyBought: false,
  excludeSeen: true,
  excludeBought: false,
  excludeShownDays: 0,
  minimumStock: 1,
  marginWeight: 0,
  sentimentWeight: 0,
  filters: [],
  boosts: [],
  pins: [],
  caps: [],
}

/** What rules look at in a product. */
export interface Steerable {
  key: number
  externalId: string
  title: string
  categories: string[]
  brand: string | null
  stock: number | null
  stub: boolean
  price: { amountMicros: bigint } | null
  marginShare: number | null
  attributes: unknown
}

const MOST = { levels: 10, filters: 20, boosts: 20, pins: 20, caps: 20 } as const
const LARGEST_FACTOR = 100
const MOST_DAYS = 365
const MOST_STOCK = 1_000_000
const MOST_PLACES = 100

type Given = { [Name in keyof PlacementRules]?: PlacementRules[Name] | null }

/** Rules as somebody gave them, checked and complete; what is left out has its default. Faults name the field. */
export function cleanRules(given: Given, algorithms: readonly string[]): PlacementRules {
  const from = <Name extends keyof PlacementRules>(name: Name): PlacementRules[Name] =>
    (given[name] ?? NO_RULES[name]) as PlacementRules[Name]
  const list = <Name extends keyof typeof MOST>(name: Name): PlacementRules[Name] => {
    const found = from(name)
    if (found.length > MOST[name]) throw fault(`${name} must be at most ${MOST[name]}, not ${found.length}`, name)
    return found
  }
  const number = (
    name: 'diversity' | 'excludeShownDays' | 'minimumStock' | 'marginWeight' | 'sentimentWeight',
    most: number,
    whole = false,
  ) => inRange(from(name), 0, most, [name], whole)
  const algorithm = (name: string, path: string[]) => {
    if (!algorithms.includes(name)) throw fault(`There is no algorithm ${name}`, ...path)
    return name
  }
  const rules: PlacementRules = {
    algorithm: algorithm(from('algorithm'), ['algorithm']),
    levels: list('levels')
      .map((level, at) => ({
        fromProducts: inRange(level.fromProducts, 0, 1_000, ['levels', `${at}`, 'fromProducts'], true),
        algorithm: algorithm(level.algorithm, ['levels', `${at}`, 'algorithm']),
      }))
      .sort((a, b) => a.fromProducts - b.fromProducts),
    basis: from('basis'),
    diversity: number('diversity', 1),
    onlyBought: from('onlyBought'),
    excludeSeen: from('excludeSeen'),
    excludeBought: from('excludeBought'),
    excludeShownDays: number('excludeShownDays', MOST_DAYS, true),
    minimumStock: number('minimumStock', MOST_STOCK, true),
    marginWeight: number('marginWeight', 10),
    sentimentWeight: number('sentimentWeight', 1),
    filters: list('filters').map((filter, at) => named(filter, ['filters', `${at}`])),
    boosts: list('boosts').map((boost, at) => ({
      ...named(boost, ['boosts', `${at}`]),
      factor: inRange(boost.factor, 0, LARGEST_FACTOR, ['boosts', `${at}`, 'factor']),
    })),
    pins: list('pins').map((pin, at) => ({
      productExternalId: cleanText(pin.productExternalId, {
        field: ['rules', 'pins', `${at}`, 'productExternalId'],
        max: 200,
        trim: false,
      }),
      position: inRange(pin.position, 1, MOST_PLACES, ['pins', `${at}`, 'position'], true),
    })),
    caps: list('caps').map((cap, at) => ({
      by: cap.by,
      value: cleanOptionalText(cap.value, { field: ['rules', 'caps', `${at}`, 'value'], max: 200, trim: false }) ?? null,
      most: inRange(cap.most, 0, MOST_PLACES, ['caps', `${at}`, 'most'], true),
    })),
  }
  refuseDoubles(rules)
  return rules
}

/** Rules as they are stored. */
export function rulesToJson(rules: PlacementRules): string {
  return JSON.stringify(rules, (_, value) => (typeof value === 'bigint' ? value.toString() : value))
}

/** Rules from what was stored, also by an earlier version that knew fewer of them. */
export function rulesFromJson(stored: unknown): PlacementRules {
  const given = { ...NO_RULES, ...(stored as Partial<PlacementRules>) }
  const revived = <T extends NamedFilter>(each: T): T => ({ ...each, where: revivedFilter(each.where) })
  return { ...given, filters: given.filters.map(revived), boosts: given.boosts.map(revived) }
}

/** One thing that rules do to a score. */
export interface Effect {
  text: string
  factor: number
}

/** What rules do to the score of a product, in the order in which they do it. `penalty`: lower bound of the share of negative reviews. */
export function compileEffects(rules: PlacementRules): {
  strongest: number
  needsPenalties: boolean
  effectsOn(product: Steerable, penalty: number): Effect[]
} {
  const boosts = rules.boosts.map(boost => ({ ...boost, passes: productTest(boost.where) ?? (() => true) }))
  const { marginWeight, sentimentWeight } = rules
  return {
    strongest: boosts.reduce((product, { factor }) => product * Math.max(1, factor), 1) * (1 + marginWeight),
    needsPenalties: sentimentWeight > 0,
    effectsOn: (product, penalty) => {
      const effects: Effect[] = []
      for (const { name, factor, passes } of boosts)
        if (factor !== 1 && passes(product)) effects.push({ text: `Boost "${name}": × ${shown(factor)}`, factor })
      if (marginWeight > 0 && (product.marginShare ?? 0) > 0) {
        const factor = 1 + marginWeight * (product.marginShare as number)
        effects.push({ text: `Margin of ${percent(product.marginShare as number)}: × ${shown(factor)}`, factor })
      }
      if (sentimentWeight > 0 && penalty > 0) {
        const factor = 1 - sentimentWeight * penalty
        effects.push({ text: `At least ${percent(penalty)} of its reviews are negative: × ${shown(factor)}`, factor })
      }
      return effects
    },
  }
}

/** Filters as tests, each with the cause that a product it drops gets. */
export interface FilterTest {
  /** E.g. filter "in season". */
  cause: string
  where: ProductFilter
  passes(product: Steerable): boolean
  attributes: readonly AttributeFilter[]
}

export function compileFilters({ filters }: Pick<PlacementRules, 'filters'>, asked: ProductFilter | undefined): FilterTest[] {
  const tests: FilterTest[] = []
  const add = (cause: string, where: ProductFilter) => {
    const passes = productTest(where)
    if (passes) tests.push({ cause, where, passes, attributes: where.attributes ?? [] })
  }
  for (const { name, where } of filters) add(`filter "${name}"`, where)
  if (asked) add('filter where', asked)
  return tests
}

/**
 * Which filter left nothing of the products that could have been shown: one that none of them passes by itself; or, when it takes several together,
 * the one at which the last of them went. Undefined when no filter did.
 */
export function emptiedBy(
  tests: readonly FilterTest[],
  { products, alone, together }: Passing,
): { filter: FilterTest; why: string } | undefined {
  if (products === 0) return undefined
  const useless = tests.findIndex((_, at) => alone[at] === 0)
  if (useless >= 0) return { filter: tests[useless], why: `: none of the ${products} products passes it` }
  const last = tests.findIndex((_, at) => together[at] === 0)
  return last < 0 ? undefined : { filter: tests[last], why: ` of the ${together[last - 1]} products that passed the filters before it` }
}

/** Counts what was taken and refuses what would be too many of a category or brand. */
export function compileCaps(caps: readonly Cap[]): ((product: Steerable, taken: readonly Steerable[]) => string | undefined) | undefined {
  if (caps.length === 0) return undefined
  const valuesOf = (by: CapKind, product: Steerable) =>
    by === 'BRAND' ? (product.brand === null ? [] : [product.brand]) : product.categories
  return (product, taken) => {
    for (const { by, value, most } of caps)
      for (const each of valuesOf(by, product)) {
        if (value !== null && value !== each) continue
        const count = taken.filter(other => valuesOf(by, other).includes(each)).length
        if (count >= most) return `cap: at most ${most} of ${by.toLowerCase()} ${each}`
      }
    return undefined
  }
}

function named<T extends NamedFilter>({ name, where }: T, path: string[]): NamedFilter {
  const clean = cleanText(name, { field: ['rules', ...path, 'name'], max: 100 })
  const filter = stripped(cleanWithin(path, where))
  if (!productTest(filter)) throw fault(`"${clean}" has no condition`, ...path, 'where')
  return { name: clean, where: filter }
}

/** Faults name where in the rules the condition stands. */
function cleanWithin(path: string[], where: ProductFilter): ProductFilter {
  try {
    return cleanProductFilter(where)
  } catch (error) {
    throw error instanceof InvalidInput ? new InvalidInput(error.message, error.details, ['rules', ...path, ...(error.field ?? [])]) : error
  }
}

function stripped(filter: ProductFilter): ProductFilter {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null && value !== undefined))
}

function refuseDoubles({ levels, filters, boosts, pins }: PlacementRules) {
  const double = <T>(values: readonly T[]) => values.find((value, at) => values.indexOf(value) !== at)
  const checks = [
    ['levels', 'fromProducts', double(levels.map(level => level.fromProducts))],
    ['filters', 'name', double(filters.map(filter => filter.name))],
    ['boosts', 'name', double(boosts.map(boost => boost.name))],
    ['pins', 'position', double(pins.map(pin => pin.position))],
    ['pins', 'productExternalId', double(pins.map(pin => pin.productExternalId))],
  ] as const
  for (const [list, field, value] of checks) if (value !== undefined) throw fault(`Two ${list} have the ${field} ${value}`, list)
}

function inRange(value: number, low: number, high: number, path: string[], whole = false): number {
  if (typeof value === 'number' && value >= low && value <= high && (!whole || Number.isInteger(value))) return value
  throw fault(`${path.at(-1)} must be ${whole ? 'a whole number ' : ''}from ${low} to ${high}`, ...path)
}

function fault(sentence: string, ...path: string[]) {
  return new InvalidInput(sentence, {}, ['rules', ...path])
}

function revivedFilter({ priceMinMicros, priceMaxMicros, ...where }: ProductFilter): ProductFilter {
  const micros = (value: bigint | null | undefined) => (value === null || value === undefined ? undefined : BigInt(value))
  return stripped({ ...where, priceMinMicros: micros(priceMinMicros), priceMaxMicros: micros(priceMaxMicros) })
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`
}

function shown(factor: number): string {
  return String(Math.round(100 * factor) / 100)
}
