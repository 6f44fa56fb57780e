import { domainsOf, isListed } from './domains.js'

/** What a seller does not take, from the lists of an OpenRTB request; lower case, but for the categories. */
export interface Blocklist {
  domains: ReadonlySet<string>
  apps: ReadonlySet<string>
  /** Codes of the IAB Content Taxonomy 1.0; one stands for all below it. */
  categories: readonly string[]
  /** Only these are taken; null where all are. */
  allowedCategories: readonly string[] | null
}

export interface Advertised {
  /** Where a click leads; '' where nowhere. */
  domain: string
  /** The app that is advertised, as its store names it; '' where none is. */
  app: string
  iabCategories: readonly string[]
}

export type BlockReason = 'BLOCKED_ADVERTISER' | 'BLOCKED_APP' | 'BLOCKED_CATEGORY' | 'CATEGORY_NOT_ALLOWED'

/** What `cattax` says of codes like IAB9-7, also when it is not there. */
const IAB_1 = 1
const CODE = /^IAB\d{1,2}(-\d{1,2})?$/

interface Lists {
  badv?: readonly string[]
  bapp?: readonly string[]
  bcat?: readonly string[]
  acat?: readonly string[]
  cattax?: number
}

/** The lists of a request, with a rule where one could not be obeyed; undefined where there is none. */
export function blocklistOf({ badv, bapp, bcat, acat, cattax = IAB_1 }: Lists): { list?: Blocklist; rule?: string } {
  if (!badv?.length && !bapp?.length && !bcat?.length && !acat?.length) return {}
  const isOurs = cattax === IAB_1
  const rule =
    !isOurs && bcat?.length ? `bcat could not be obeyed: it is in taxonomy ${cattax}, and ads carry IAB Content Taxonomy 1.0` : undefined
  const list = {
    domains: domainsOf(badv ?? []),
    apps: new Set((bapp ?? []).map(app => app.trim().toLowerCase())),
    categories: isOurs ? codesOf(bcat ?? []) : [],
    allowedCategories: acat?.length ? (isOurs ? codesOf(acat) : []) : null,
  }
  return { list, rule }
}

/** Why this ad must not be offered; undefined when it may. */
export function blockedBecause({ domain, app, iabCategories }: Advertised, list: Blocklist): BlockReason | undefined {
  if (isListed(domain, list.domains)) return 'BLOCKED_ADVERTISER'
  if (app !== '' && list.apps.has(app)) return 'BLOCKED_APP'
  if (iabCategories.some(code => isWithin(code, list.categories))) return 'BLOCKED_CATEGORY'
  const { allowedCategories } = list
  // What an ad is about must be known to be allowed, and all of it.
  if (allowedCategories && !(iabCategories.length > 0 && iabCategories.every(code => isWithin(code, allowedCategories))))
    return 'CATEGORY_NOT_ALLOWED'
  return undefined
}

/** The app that a page of one of the two large stores is about; '' for any other page. */
export function appOf(url: string): string {
  if (!URL.canParse(url)) return ''
  const { hostname, pathname, searchParams } = new URL(url)
  if (hostname === 'play.google.com' && pathname.startsWith('/store/apps/details')) return searchParams.get('id')?.toLowerCase() ?? ''
  if (hostname === 'apps.apple.com' || hostname === 'itunes.apple.com') return /\/id(\d+)/.exec(pathname)?.[1] ?? ''
  return ''
}

/** Of these words the codes of the IAB Content Taxonomy 1.0, written as it writes them. */
export function codesOf(words: readonly string[]): string[] {
  return [...new Set(words.map(word => word.trim().toUpperCase()).filter(word => CODE.test(word)))]
}

function isWithin(code: string, list: readonly string[]): boolean {
  return list.some(each => code === each || code.startsWith(`${each}-`))
}
