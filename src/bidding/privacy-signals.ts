import { GppModel, Sections } from '@iabgpp/cmpapi'
import { LRUCache } from 'lru-cache'
import { messageOf } from '../platform/errors.js'
import type { BidRequestBody } from './openrtb-request.js'

/** Purposes of TCF 2 that personal advertising needs: storing on the device, a profile for advertising, and personalised ads chosen by it. */
const PURPOSES = [1, 3, 4]
const PURPOSES_CONSENT_BIT = 152
/** Of Apple's App Tracking Transparency, as IAB Tech Lab's extension tells it. */
const TRACKING_AUTHORIZED = 3
/** Longer strings than any section makes are not worth their decoding. */
const LONGEST_GPP = 4_000

/**
 * Why the privacy signals of an OpenRTB 2.6 request forbid to use anything of the person; null when they allow it. What cannot be read counts as a
 * refusal: COPPA, GDPR without a readable consent, the opt-outs of US privacy strings and of GPP sections, the Global Privacy Control, and the device's own settings.
 */
export function privacyRefusal({ regs, user, device }: BidRequestBody): string | null {
  const ext = { ...regs?.ext, ...regs } as Record<string, unknown>
  if (Number(ext.coppa) === 1) return 'The request is about a child (regs.coppa)'
  if (Number(device?.lmt) === 1) return 'The device limits tracking (device.lmt)'
  if (Number(device?.dnt) === 1) return 'The device asks not to be tracked (device.dnt)'
  const { atts } = (device?.ext ?? {}) as Record<string, unknown>
  if (atts !== undefined && Number(atts) !== TRACKING_AUTHORIZED) return 'The device was not allowed to track (device.ext.atts)'
  if (Number(ext.gpc) === 1) return 'The browser sends the Global Privacy Control (regs.ext.gpc)'
  if (typeof ext.us_privacy === 'string' && !/^1[YN-][N-][YN-]$/.test(ext.us_privacy))
    return 'The person opted out of sale (regs.us_privacy)'
  if (typeof ext.gpp === 'string' && ext.gpp !== '') {
    const refusal = gppRefusal(ext.gpp, ext.gpp_sid)
    if (refusal) return `${refusal} (regs.gpp)`
  }
  if (Number(ext.gdpr ?? 0) === 0) return null
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

/**
 * Why a string of the Global Privacy Platform (IAB Tech Lab) forbids personal advertising; null when every section that applies allows it. `applying` are
 * the ids of `regs.gpp_sid`; without them all sections of the string apply.
 */
export function gppRefusal(gpp: string, applying: unknown): string | null {
  if (gpp.length > LONGEST_GPP) return 'The GPP string is too long to be read'
  const sections = Array.isArray(applying) ? [...new Set(applying.map(Number))] : []
  if (sections.length > Sections.SECTION_ID_NAME_MAP.size) return 'More sections are said to apply than there are'
  if (sections.length === 1 && sections[0] === NOT_APPLICABLE) return null
  const key = `${sections.join()}:${gpp}`
  const known = verdicts.get(key)
  if (known !== undefined) return known || null
  const refusal = decodedRefusal(gpp, sections)
  verdicts.set(key, refusal ?? '')
  return refusal
}

/** Of `gpp_sid`: the seller knows that no section applies. */
const NOT_APPLICABLE = -1
/** Decoding costs as much as all the rest of a bid, and a visitor's string comes with every page. */
const verdicts = new LRUCache<string, string>({ max: 5_000 })

function decodedRefusal(gpp: string, named: readonly number[]): string | null {
  try {
    const model = new GppModel(gpp)
    const present: number[] = model.getSectionIds()
    if (present.length === 0) return 'The GPP string has no section that can be read'
    const absent = named.filter(id => !present.includes(id))
    if (absent.length > 0) return `Section ${absent.join(', ')} of the GPP string applies and cannot be read`
    for (const id of named.length > 0 ? named : present) {
      const refusal = sectionRefusal(model.getSection(Sections.SECTION_ID_NAME_MAP.get(id) as string) as Section)
      if (refusal) return `${refusal} in section ${id}`
    }
    return null
  } catch (error) {
    return `The GPP string cannot be read: ${messageOf(error).slice(0, 100)}`
  }
}

type Section = Record<string, unknown>

const OPT_OUTS = ['SaleOptOut', 'SharingOptOut', 'TargetedAdvertisingOptOut']
const OPTED_OUT = 1
const NO_CONSENT = 1

/** Sections of Europe and Canada list purposes, those of the United States opt-outs (0 does not apply, 1 opted out, 2 did not). */
function sectionRefusal(section: Section): string | null {
  const purposes = [section.PurposeConsents, section.PurposesExpressConsent, section.PurposesImpliedConsent].filter(Array.isArray)
  if (purposes.length > 0) {
    const missing = PURPOSES.filter(purpose => !purposes.some(allowed => allowed[purpose - 1] === true))
    return missing.length > 0 ? `Purpose ${missing.join(', ')} is not allowed` : null
  }
  if ('OptOutSale' in section) return section.OptOutSale === 'Y' ? 'The person opted out of sale' : null
  const isKnown = OPT_OUTS.some(name => name in section)
  if (!isKnown) return 'Nothing that is known stands'
  const optOut = OPT_OUTS.find(name => section[name] === OPTED_OUT)
  if (optOut) return `The person chose ${optOut}`
  if (section.Gpc === true) return 'The browser sends the Global Privacy Control'
  if (section.PersonalDataConsents === NO_CONSENT) return 'There is no consent to personal data'
  const child = section.KnownChildSensitiveDataConsents
  return (Array.isArray(child) ? child : [child]).some(value => Number(value) > 0) ? 'The person is known to be a child' : null
}
