import type { Algorithm, Learned } from '../algorithm.js'
import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { type ClusterName, clusterNames, type FeatureWords, PROFILE_WORDS } from '../cluster/naming.js'
import { scaled, type Table } from '../cluster/scaling.js'
import { type ClusterModel, fitClusters, loadClusters } from '../cluster/segmentation.js'
import { type Keys, keysOf } from './keys.js'
import { CATEGORY, inCategories, type People, sharesOf, tableOf, VIEWS, type View } from './people.js'

/** A group of people who are alike. */
export interface Group {
  /** Goes on through learning anew as long as the group holds mostly the same people; never used again for others. */
  key: string
  /** Jaccard overlap with the group of this key before; null for a group that is new. */
  overlap: number | null
  en: string
  zh: string
  share: number
  /** What sets it apart: feature, its centre in the group and among all, and the difference in standard deviations. */
  traits: { feature: string; z: number; centre: number; population: number }[]
}

/** Learned groups of people. */
export interface Grouper extends Learned {
  readonly view: View
  readonly categories: readonly string[]
  readonly features: readonly string[]
  readonly groups: readonly Group[]
  readonly silhouette: number
  readonly stability: number
  /** The highest number that a key ever had. */
  readonly highestKey: number
  /** Keys of the groups before that no group of now goes on from. */
  readonly ended: readonly string[]
  /** Group of each person, an index into `groups`. */
  assign(people: People): Int32Array
  /** The same, but −1 for people unlike nearly all from whom their group was learned. */
  recognise(people: People): Int32Array
  /** Mean distance of each group's present members from its centre of old, in standard deviations, weighted by members. */
  drift(people: People): number
  /** The same by group; NaN where nobody is left. */
  drifts(people: People): Float64Array
}

export type GroupingAlgorithm = Algorithm<People, Grouper>

const FORMAT = 'groups/1'

/** Everybody is one group: the baseline. */
export const everybody: GroupingAlgorithm = {
  name: 'everybody',
  defaults: {},
  fit: ({ categories, features }) => oneGroup(categories, features),
  load: artifact => {
    const { meta } = unpack('everybody/1', artifact)
    return oneGroup(meta.categories as string[], meta.features as string[])
  },
}

/**
 * k-means over each view (tastes, behaviour, both); the view and the number of groups are those of the largest silhouette × stability under bootstrap, so
 * that people are divided by what divides them best.
 */
export const kMeansGroups: GroupingAlgorithm = {
  name: 'k-means',
  defaults: { from: 2, to: 8, starts: 3, bootstraps: 3 },
  fit: (people, params, random) => {
    const number = (name: string) => parameter(params, kMeansGroups.defaults, name)
    const shares = sharesOf(people)
    const options = { from: number('from'), to: number('to'), starts: number('starts'), bootstraps: number('bootstraps') }
    const views = VIEWS.filter(view => (view === 'behaviour' ? people.features.length : people.categories.length) > 0)
    const tried = views.map(view => {
      const { table, features } = tableOf(view, people, shares)
      const model = fitClusters(table, features, options, random.fork(view))
      const candidate = model.candidates.find(({ k }) => k === model.k)
      return { view, model, merit: Math.max(0, candidate?.silhouette ?? 0) * Math.max(0, candidate?.stability ?? 0) }
    })
    const best = tried.reduce((most, each) => (each.merit > most.merit ? each : most))
    const { table } = tableOf(best.view, people, shares)
    const labels = best.model.assign(table)
    const radii = radiiOf(best.model, table, labels)
    return grouperOf(best.model, best.view, people, shares, { keys: carriedKeys(best.model.k, labels, people), radii })
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const { view, categories, features, shares } = meta as { view: View; categories: string[]; features: string[]; shares: number[] }
    const { keys, radii } = meta as Partial<Carried>
    const clusters = loadClusters(arrays.clusters as Uint8Array)
    // Groups saved before keys went on were numbered from the largest, and took in anybody.
    const carried = { keys: keys ?? keysOf([], clusters.k), radii: radii ?? new Array<number>(clusters.k).fill(Number.MAX_VALUE) }
    return grouperOf(clusters, view, { categories, features }, shares, carried)
  },
}

/** What groups hand on to those that are learned after them. */
interface Carried {
  keys: Keys
  /** By group: how far from its centre nearly all of its members lay, in standard deviations. */
  radii: number[]
}

/** Newcomers unlike anybody say nothing of what an old group was, even where it was the nearest: it is the people of its kind who make it the same. */
function carriedKeys(k: number, labels: Int32Array, people: People): Keys {
  const { before } = people
  if (!before?.artifact) return keysOf([], k, { highest: before?.highest })
  const old = kMeansGroups.load(before.artifact)
  const highest = Math.max(before.highest, old.highestKey)
  if (old.features.join('\0') !== people.features.join('\0')) return keysOf([], k, { highest })
  const were = old.recognise(inCategories(people, old.categories))
  return keysOf(
    old.groups.map(({ key }) => key),
    k,
    { highest, labels, were },
  )
}

/** Share of the members that the radius of a group takes in. */
const NEARLY_ALL = 0.99

function radiiOf(model: ClusterModel, table: Table, labels: Int32Array): number[] {
  const distances = distancesOf(model, table, labels)
  return Array.from({ length: model.k }, (_, group) => {
    const own = distances.filter((__, row) => labels[row] === group).sort()
    return own.length > 0 ? own[Math.ceil(NEARLY_ALL * own.length) - 1] : 0
  })
}

/** Of each row from the centre of its cluster, in standard deviations. */
function distancesOf({ scaling, centres }: ClusterModel, { rows, columnCount, values }: Table, labels: Int32Array): Float64Array {
  const distances = new Float64Array(rows)
  for (let row = 0; row < rows; row++) {
    let squares = 0
    for (let column = 0; column < columnCount; column++)
      squares += (scaled(scaling, column, values[row * columnCount + column]) - centres[labels[row] * columnCount + column]) ** 2
    distances[row] = Math.sqrt(squares)
  }
  return distances
}

function grouperOf(
  model: ClusterModel,
  view: View,
  { categories, features }: Pick<People, 'categories' | 'features'>,
  shares: readonly number[],
  { keys, radii }: Carried,
): Grouper {
  const candidate = model.candidates.find(({ k }) => k === model.k)
  const names = withoutDislikes(clusterNames(model, wordsOf(categories)))
  const population = model.features.map((_, column) =>
    names.reduce((sum, __, cluster) => sum + model.shares[cluster] * model.centreOf(cluster)[column], 0),
  )
  const groups = names.map(({ en, zh, traits }, cluster): Group => {
    const centre = model.centreOf(cluster)
    return {
      key: keys.own[cluster].key,
      overlap: keys.own[cluster].overlap,
      en,
      zh,
      share: model.shares[cluster],
      traits: traits.map(({ feature, z }) => {
        const column = model.features.indexOf(feature)
        // Tastes were learned as roots of shares; people read shares.
        const shown = (value: number) => (feature.startsWith(CATEGORY) ? value * value : value)
        return { feature: feature.replace(CATEGORY, ''), z, centre: shown(centre[column]), population: shown(population[column]) }
      }),
    }
  })
  const assign = (people: People) => model.assign(tableOf(view, people, shares).table)
  return {
    view,
    categories,
    features,
    groups,
    silhouette: candidate?.silhouette ?? Number.NaN,
    stability: candidate?.stability ?? Number.NaN,
    highestKey: keys.highest,
    ended: keys.ended,
    assign,
    recognise: people => {
      const { table } = tableOf(view, people, shares)
      const labels = model.assign(table)
      const distances = distancesOf(model, table, labels)
      return labels.map((group, row) => (distances[row] > radii[group] ? -1 : group))
    },
    drift: people => {
      const { drifts, counts } = driftsOf(model, tableOf(view, people, shares).table, assign(people))
      return drifts.reduce((sum, drift, group) => sum + (counts[group] > 0 ? (drift * counts[group]) / people.rows : 0), 0)
    },
    drifts: people => driftsOf(model, tableOf(view, people, shares).table, assign(people)).drifts,
    save: () => pack(FORMAT, { meta: { view, categories, features, shares, keys, radii }, arrays: { clusters: model.save() } }),
  }
}

/** Whoever loves something is named by that, and not by what everybody else loves; where two would be named alike, nothing is left out. */
function withoutDislikes(names: readonly ClusterName[]): ClusterName[] {
  const short = names.map(name => {
    const isLoved = ({ feature, z }: ClusterName['traits'][number]) => feature.startsWith(CATEGORY) && z > 0
    if (!name.traits.some(isLoved)) return name
    const traits = name.traits.filter(trait => !trait.feature.startsWith(CATEGORY) || isLoved(trait))
    const keep = name.traits.map(trait => traits.includes(trait))
    const part = (text: string, separator: string) => {
      const parts = text.split(separator)
      return parts.length === keep.length ? parts.filter((_, at) => keep[at]).join(separator) : text
    }
    return { ...name, en: capital(part(name.en, ', ')), zh: part(name.zh, '、') }
  })
  return short.map((name, at) => (short.some((other, place) => place !== at && other.en === name.en) ? names[at] : name))
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
}

function driftsOf(
  { scaling, centres, k }: ClusterModel,
  { rows, columnCount, values }: Table,
  labels: Int32Array,
): { drifts: Float64Array; counts: Float64Array } {
  const sums = new Float64Array(k * columnCount)
  const counts = new Float64Array(k)
  for (let row = 0; row < rows; row++) {
    counts[labels[row]]++
    for (let column = 0; column < columnCount; column++)
      sums[labels[row] * columnCount + column] += scaled(scaling, column, values[row * columnCount + column])
  }
  const drifts = new Float64Array(k).fill(Number.NaN)
  for (let cluster = 0; cluster < k; cluster++) {
    if (counts[cluster] === 0) continue
    let squares = 0
    for (let column = 0; column < columnCount; column++)
      squares += (sums[cluster * columnCount + column] / counts[cluster] - centres[cluster * columnCount + column]) ** 2
    drifts[cluster] = Math.sqrt(squares)
  }
  return { drifts, counts }
}

function oneGroup(categories: readonly string[], features: readonly string[]): Grouper {
  return {
    view: 'both',
    categories,
    features,
    groups: [{ key: 'c1', overlap: null, en: 'Everybody', zh: '所有人', share: 1, traits: [] }],
    silhouette: 0,
    stability: 1,
    highestKey: 1,
    ended: [],
    assign: ({ rows }) => new Int32Array(rows),
    recognise: ({ rows }) => new Int32Array(rows),
    drift: () => 0,
    drifts: () => new Float64Array(1),
    save: () => pack('everybody/1', { meta: { categories, features }, arrays: {} }),
  }
}

const FEATURE_WORDS: Readonly<Record<string, FeatureWords>> = {
  recencyDays: PROFILE_WORDS.recency,
  orderDays: PROFILE_WORDS.frequency,
  monetary: PROFILE_WORDS.monetary,
  tenureDays: PROFILE_WORDS.tenure,
  priceLevel: PROFILE_WORDS.priceLevel,
  discountShare: PROFILE_WORDS.discountShare,
  returnRate: PROFILE_WORDS.returnRate,
  activeDays90: PROFILE_WORDS.sessions,
  orderGapDays: PROFILE_WORDS.interPurchaseDays,
  averageOrderValue: { en: { high: 'large orders', low: 'small orders' }, zh: { high: '客单价高', low: '客单价低' } },
  silentDays: { en: { high: 'gone silent', low: 'seen lately' }, zh: { high: '沉默已久', low: '近期到访' } },
  eveningShare: { en: { high: 'shops in the evening', low: 'shops by day' }, zh: { high: '晚间购物', low: '白天购物' } },
  mobileShare: { en: { high: 'on the phone', low: 'on the computer' }, zh: { high: '手机购物', low: '电脑购物' } },
}

function wordsOf(categories: readonly string[]): Record<string, FeatureWords> {
  const tastes = categories.map(name => {
    const words: FeatureWords = { en: { high: `loves ${name}`, low: `little ${name}` }, zh: { high: `喜欢${name}`, low: `少看${name}` } }
    return [CATEGORY + name, words] as const
  })
  return { ...FEATURE_WORDS, ...Object.fromEntries(tastes) }
}
