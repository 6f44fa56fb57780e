import { lookup } from 'node:dns'
import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { InvalidInput, messageOf, Unavailable } from './errors.js'
import { signatureOf } from './signature.js'

const TIMEOUT_MS = 5_000

export interface Webhook {
  url: string
  secret: string
}

/** Posts a signed JSON body once; `delivery` is the same whenever it has to be sent again. Follows no redirect. Throws `Unavailable` when the other side does not say 2xx in five seconds. */
export async function sendWebhook({ url, secret }: Webhook, value: unknown, delivery: string, now: Date = new Date()): Promise<void> {
  const body = JSON.stringify(value)
  const headers = {
    'content-type': 'application/json',
    'bellwether-delivery': delivery,
    'bellwether-signature': signatureOf(secret, body, now),
  }
  try {
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
    await response.body?.cancel()
    if (!response.ok) throw new Error(`it answered ${response.status}`)
  } catch (error) {
    throw new Unavailable(`The webhook could not be delivered: ${messageOf(error)}`)
  }
}

const PAGE_TIMEOUT_MS = 15_000

/** Addresses that lead into the house instead of out of it (RFC 6890). */
const inside = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  inside.addSubnet(net, bits, 'ipv4')
for (const [net, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  inside.addSubnet(net, bits, 'ipv6')

/** Throws InvalidInput for a URL to which personal data must not go: not HTTPS, with a password in it, or to an address inside the house. */
export function checkWebhookUrl(text: string, isPrivateAllowed: boolean, field: string[]): URL {
  const url = URL.canParse(text) && text.length <= 2_000 ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && !(isPrivateAllowed && url.protocol === 'http:')))
    throw new InvalidInput('The webhook must be a URL that starts with https://', {}, field)
  if (url.username || url.password) throw new InvalidInput('A webhook carries its signature; put no password into the URL', {}, field)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (!isPrivateAllowed && isIP(host) && isInside(host)) throw new InvalidInput('The webhook leads to a private address', {}, field)
  return url
}

/**
 * Posts a signed body; follows no redirect and, whatever the name resolves to by now, reaches no private address unless that is allowed. Throws `Unavailable`
 * where it is worth another try (no answer, 408, 429, 5xx), else InvalidInput.
 */
export async function postSigned(
  { url, secret, isPrivateAllowed }: Webhook & { isPrivateAllowed: boolean },
  body: string,
  { headers, now, signal }: { headers: Record<string, string>; now: Date; signal: AbortSignal },
): Promise<void> {
  const target = checkWebhookUrl(url, isPrivateAllowed, ['webhookUrl'])
  const options: RequestOptions = {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'bellwether-signature': signatureOf(secret, body, now),
      ...headers,
    },
    signal: AbortSignal.any([signal, AbortSignal.timeout(PAGE_TIMEOUT_MS)]),
    lookup: isPrivateAllowed ? undefined : lookupOutside,
  }
  const status = await new Promise<number>((resolve, reject) => {
    const sent = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, options, response => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
      response.once('error', reject)
    })
    sent.once('error', reject)
    sent.end(body)
  }).catch((error: unknown) => {
    if (error instanceof InvalidInput) throw error
    throw new Unavailable(`The webhook could not be reached: ${messageOf(error)}`)
  })
  if (status >= 200 && status < 300) return
  if (status === 408 || status === 429 || status >= 500) throw new Unavailable(`The webhook answered ${status}`)
  throw new InvalidInput(`The webhook refused with ${status}${status >= 300 && status < 400 ? '; redirects are not followed' : ''}`)
}

/** The check stands where the connection is made: a name may resolve to something else than a moment ago. */
const lookupOutside: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '', 4)
    if (addresses.some(({ address }) => isInside(address)))
      return callback(new InvalidInput('The webhook leads to a private address') as NodeJS.ErrnoException, '', 4)
    if (options.all) return (callback as unknown as (error: null, all: typeof addresses) => void)(null, addresses)
    callback(null, addresses[0].address, addresses[0].family)
  })
}

function isInside(address: string): boolean {
  return inside.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}
