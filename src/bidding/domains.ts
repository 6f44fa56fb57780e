/** Host of an address without `www.`; '' where there is none. */
export function domainOf(url: string): string {
  return URL.canParse(url) ? bare(new URL(url).hostname) : ''
}

/** A list of advertisers' domains as sellers give it. */
export function domainsOf(list: readonly string[]): ReadonlySet<string> {
  return new Set(list.map(domain => bare(domain.trim().toLowerCase())))
}

/** Whether the domain, or one that it is part of, is on the list. */
export function isListed(domain: string, list: ReadonlySet<string>): boolean {
  for (let part = domain; part !== ''; part = part.slice(part.indexOf('.') + 1)) {
    if (list.has(part)) return true
    if (!part.includes('.')) return false
  }
  return false
}

function bare(host: string): string {
  return host.replace(/^www\./, '')
}
