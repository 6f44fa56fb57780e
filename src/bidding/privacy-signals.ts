import type { BidRequestBody } from './openrtb-request.js'

/** Purposes of TCF 2 that personal advertising needs: storing on the device, a profile for advertising, and personalised ads chosen by it. */
const PURPOSES = [1, 3, 4]
const PURPOSES_CONSENT_BIT = 152

/**
 * Why the privacy signals of an OpenRTB 2.6 request forbid to use anything of the person; null when they allow it. What cannot be read counts as a
 * refusal: COPPA, GDPR without a readable consent, the opt-outs of US privacy strings, GPP (whose sections are not read), and the device's own settings.
 */
export function privacyRefusal({ regs, user, device }: BidRequestBody): string | null {
  const ext = { ...regs?.ext, ...regs } as Record<string, unknown>
  if (Number(ext.coppa) === 1) return 'The request is about a child (regs.coppa)'
  if (Number(device?.lmt) === 1) return 'The device limits tracking (device.lmt)'
  if (Number(device?.dnt) === 1) return 'The device asks not to be tracked (device.dnt)'
  if (typeof ext.us_privacy === 'string' && !/^1[YN-][N-][YN-]$/.test(ext.us_privacy))
    return 'The person opted out of sale (regs.us_privacy)'
  if (typeof ext.gpp === 'string' && ext.gpp !== '') return 'The request carries a GPP string, which is taken for a refusal (regs.gpp)'
  if (Number(ext.gdpr) !== 1) return null
  const consent = user?.consent ?? (user?.ext as Record<string, unknown> | undefined)?.consent
  if (typeof consent !== 'string' || consent === '') return 'GDPR applies and there is no consent string (user.consent)'
  const allowed = purposesOf(consent)
  if (!allowed) return 'The consent string cannot be read (user.consent)'
  const missing = PURPOSES.filter(purpose => !allowed.has(purpose))
  return missing.length === 0 ? null : `The consent string does not allow purpose ${missing.join(', ')} (user.consent)`
}

/** Purposes that a TCF version 2 consent string allows (IAB Europe, TC string format 2); undefined when it is none. */
export function purposesOf(consent: string): Set<number> | undefined {
  const [core] = consent.split('.')
  if (!/^[A-Za-z0-9_-]+$/.test(core)) return undefined
  const bytes = Buffer.from(core, 'base64url')
  if (bytes.length * 8 < PURPOSES_CONSENT_BIT + 24) return undefined
  const bit = (at: number) => (bytes[at >> 3] >> (7 - (at & 7))) & 1
  let version = 0
  for (let at = 0; at < 6; at++) version = version * 2 + bit(at)
  if (version !== 2) return undefined
  const purposes = new Set<number>()
  for (let purpose = 1; purpose <= 24; purpose++) if (bit(PURPOSES_CONSENT_BIT + purpose - 1)) purposes.add(purpose)
  return purposes
}
