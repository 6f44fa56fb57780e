import type { Table } from '../cluster/scaling.js'

/** What is known of people: a row each of numbers (NaN is unknown) and of liking for categories. */
export interface People {
  rows: number
  features: readonly string[]
  /** rows × features */
  numbers: Float32Array
  categories: readonly string[]
  /** Time-decayed liking, rows × categories. */
  liking: Float32Array
  /** Liking beyond these categories, a number a row. */
  rest: Float32Array
  /** What the groups were until now, so that those that go on are called as before. */
  before?: Before
}

/** Groups that were learned earlier. */
export interface Before {
  /** Saved groups of `kMeansGroups`; none where there are none, or none that can be read. */
  artifact?: Uint8Array
  /** The highest number that a key ever had: new groups are numbered from the next. */
  highest: number
}

/** The same people by other categories: liking of those that are not among them goes to the rest; what was not among the old ones is not known and 0. */
export function inCategories(people: People, categories: readonly string[]): People {
  if (people.categories.join('\0') === categories.join('\0')) return people
  const places = people.categories.map(name => categories.indexOf(name))
  const liking = new Float32Array(people.rows * categories.length)
  const rest = people.rest.slice()
  for (let row = 0; row < people.rows; row++)
    for (const [own, place] of places.entries()) {
      const weight = people.liking[row * places.length + own]
      if (place < 0) rest[row] += weight
      else liking[row * categories.length + place] += weight
    }
  return { ...people, categories, liking, rest }
}

/** From which side people are looked at. */
export const VIEWS = ['tastes', 'behaviour', 'both'] as const
export type View = (typeof VIEWS)[number]

/** So much liking of everybody's kind is added to each person's own: little evidence makes no strong taste. */
const STRENGTH = 5

/** Share of each category in all liking. */
export function sharesOf({ rows, categories: { length: count }, liking, rest }: People): number[] {
  const sums = new Float64Array(count)
  let total = 0
  for (let row = 0; row < rows; row++) {
    total += rest[row]
    for (let category = 0; category < count; category++) {
      sums[category] += liking[row * count + category]
      total += liking[row * count + category]
    }
  }
  return Array.from(sums, sum => (total > 0 ? sum / total : 0))
}

/** Columns of a view. Tastes are roots of shrunk shares (Hellinger), so that distances compare whole distributions. */
export function tableOf(view: View, people: People, shares: readonly number[]): { table: Table; features: string[] } {
  const { rows, categories, liking, rest, numbers } = people
  const [tastes, behaviour] = [view === 'behaviour' ? 0 : categories.length, view === 'tastes' ? 0 : people.features.length]
  const columnCount = tastes + behaviour
  const values = new Float32Array(rows * columnCount)
  for (let row = 0; row < rows; row++) {
    const own = liking.subarray(row * categories.length, (row + 1) * categories.length)
    const total = own.reduce((sum, weight) => sum + weight, rest[row])
    for (let column = 0; column < tastes; column++)
      values[row * columnCount + column] = Math.sqrt((own[column] + STRENGTH * shares[column]) / (total + STRENGTH))
    for (let column = 0; column < behaviour; column++)
      values[row * columnCount + tastes + column] = numbers[row * people.features.length + column]
  }
  return {
    table: { rows, columnCount, values },
    features: [...categories.slice(0, tastes).map(name => CATEGORY + name), ...people.features.slice(0, behaviour)],
  }
}

/** Marks a column that is a category. */
export const CATEGORY = 'category:'

/** What rules may ask for: plain shares of liking, and numbers. */
export function plainTableOf(people: People): { table: Table; features: string[] } {
  const { rows, categories, liking, rest, numbers, features } = people
  const columnCount = categories.length + features.length
  const values = new Float32Array(rows * columnCount)
  for (let row = 0; row < rows; row++) {
    const own = liking.subarray(row * categories.length, (row + 1) * categories.length)
    const total = own.reduce((sum, weight) => sum + weight, rest[row])
    own.forEach((weight, column) => {
      values[row * columnCount + column] = total > 0 ? weight / total : 0
    })
    for (let column = 0; column < features.length; column++)
      values[row * columnCount + categories.length + column] = numbers[row * features.length + column]
  }
  return { table: { rows, columnCount, values }, features: [...categories.map(name => CATEGORY + name), ...features] }
}
