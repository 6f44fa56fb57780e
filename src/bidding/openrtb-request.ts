import { z } from 'zod'

/** Flags come as 0 or 1. */
const flag = z.union([z.literal(0), z.literal(1)])
const text = z.string().max(1_000)
const texts = z.array(text).max(1_000)
const price = z.number().min(0).max(1e9)
const size = z.int().min(0).max(100_000)
const anything = z.record(z.string(), z.unknown())

const banner = z.looseObject({
  w: size.optional(),
  h: size.optional(),
  format: z
    .array(z.looseObject({ w: size.optional(), h: size.optional() }))
    .max(100)
    .optional(),
  btype: z.array(z.int()).max(100).optional(),
  battr: z.array(z.int()).max(100).optional(),
  pos: z.int().optional(),
})

const imp = z.looseObject({
  id: z.string().min(1).max(200),
  banner: banner.optional(),
  video: anything.optional(),
  audio: anything.optional(),
  native: anything.optional(),
  pmp: z.looseObject({ private_auction: flag.optional(), deals: z.array(anything).max(1_000).optional() }).optional(),
  instl: flag.optional(),
  tagid: text.optional(),
  bidfloor: price.optional(),
  bidfloorcur: z.string().length(3).optional(),
  secure: flag.optional(),
  exp: z.int().min(0).max(86_400).optional(),
})

const content = z.looseObject({
  id: text.optional(),
  name: text.optional(),
  domain: text.optional(),
  cat: texts.optional(),
  sectioncat: texts.optional(),
  pagecat: texts.optional(),
  content: z.looseObject({ cat: texts.optional(), language: text.optional() }).optional(),
})

/** An OpenRTB 2.6 bid request, as far as it is used here; fields that are not known pass. */
export const bidRequestBody = z.looseObject({
  id: z.string().min(1).max(200),
  imp: z
    .array(imp)
    .min(1)
    .max(100)
    .superRefine((imps, context) => {
      const seen = new Set<string>()
      for (const [at, { id }] of imps.entries()) {
        if (seen.has(id)) context.addIssue({ code: 'custom', path: [at, 'id'], message: 'Two impressions have this id' })
        seen.add(id)
      }
    }),
  site: content.optional(),
  app: content.extend({ bundle: text.optional() }).optional(),
  dooh: content.optional(),
  device: z
    .looseObject({
      devicetype: z.int().optional(),
      os: text.optional(),
      language: text.optional(),
      dnt: flag.optional(),
      lmt: flag.optional(),
      geo: z.looseObject({ country: text.optional() }).optional(),
      ext: anything.optional(),
    })
    .optional(),
  user: z
    .looseObject({ id: text.optional(), buyeruid: text.optional(), consent: z.string().max(20_000).optional(), ext: anything.optional() })
    .optional(),
  test: flag.optional(),
  at: z.int().optional(),
  tmax: z.int().min(0).max(600_000).optional(),
  wseat: texts.optional(),
  bseat: texts.optional(),
  allimps: flag.optional(),
  cur: z.array(z.string().length(3)).max(200).optional(),
  bcat: texts.optional(),
  acat: texts.optional(),
  cattax: z.int().optional(),
  badv: texts.optional(),
  bapp: texts.optional(),
  regs: z
    .looseObject({
      coppa: flag.optional(),
      gdpr: flag.optional(),
      us_privacy: text.optional(),
      gpp: z.string().max(20_000).optional(),
      ext: anything.optional(),
    })
    .optional(),
})

export type BidRequestBody = z.infer<typeof bidRequestBody>
export type Impression = BidRequestBody['imp'][number]

/** The first faults of a body, each with its place; empty when it is a bid request. */
export function faultsOf(error: z.ZodError): { path: string; message: string }[] {
  return error.issues.slice(0, 10).map(issue => ({ path: issue.path.join('.') || 'body', message: issue.message }))
}

/** Device types of AdCOM 1.0. */
const DEVICES: Record<number, string> = { 1: 'mobile', 2: 'desktop', 3: 'tv', 4: 'mobile', 5: 'tablet', 6: 'connected', 7: 'tv', 8: 'dooh' }

export function deviceOf(type: number | undefined): string | null {
  return type === undefined ? null : (DEVICES[type] ?? null)
}

/** ISO 3166 alpha-3, as OpenRTB has it, to alpha-2. */
export function countryOf(code: string | undefined): string | null {
  if (!code) return null
  const upper = code.toUpperCase()
  return upper.length === 2 ? upper : (COUNTRIES.get(upper) ?? null)
}

const COUNTRIES = new Map(
  (
    'ABWAW AFGAF AGOAO AIAAI ALAAX ALBAL ANDAD AREAE ARGAR ARMAM ASMAS ATAAQ ATFTF ATGAG AUSAU AUTAT AZEAZ BDIBI BELBE BENBJ BESBQ BFABF BGDBD BGRBG BHRBH BHSBS BIHBA BLMBL BLRBY BLZBZ BMUBM BOLBO BRABR BRBBB BRNBN BTNBT BVTBV BWABW ' +
    'CAFCF CANCA CCKCC CHECH CHLCL CHNCN CIVCI CMRCM CODCD COGCG COKCK COLCO COMKM CPVCV CRICR CUBCU CUWCW CXRCX CYMKY CYPCY CZECZ DEUDE DJIDJ DMADM DNKDK DOMDO DZADZ ECUEC EGYEG ERIER ESHEH ESPES ESTEE ETHET FINFI FJIFJ FLKFK FRAFR FROFO FSMFM ' +
    'GABGA GBRGB GEOGE GGYGG GHAGH GIBGI GINGN GLPGP GMBGM GNBGW GNQGQ GRCGR GRDGD GRLGL GTMGT GUFGF GUMGU GUYGY HKGHK HMDHM HNDHN HRVHR HTIHT HUNHU IDNID IMNIM INDIN IOTIO IRLIE IRNIR IRQIQ ISLIS ISRIL ITAIT JAMJM JEYJE JORJO JPNJP KAZKZ KENKE ' +
    'KGZKG KHMKH KIRKI KNAKN KORKR KWTKW LAOLA LBNLB LBRLR LBYLY LCALC LIELI LKALK LSOLS LTULT LUXLU LVALV MACMO MAFMF MARMA MCOMC MDAMD MDGMG MDVMV MEXMX MHLMH MKDMK MLIML MLTMT MMRMM MNEME MNGMN MNPMP MOZMZ MRTMR MSRMS MTQMQ MUSMU MWIMW MYSMY MYTYT ' +
    'NAMNA NCLNC NERNE NFKNF NGANG NICNI NIUNU NLDNL NORNO NPLNP NRUNR NZLNZ OMNOM PAKPK PANPA PCNPN PERPE PHLPH PLWPW PNGPG POLPL PRIPR PRKKP PRTPT PRYPY PSEPS PYFPF QATQA REURE ROURO RUSRU RWARW SAUSA SDNSD SENSN SGPSG SGSGS SHNSH SJMSJ SLBSB SLESL ' +
    'SLVSV SMRSM SOMSO SPMPM SRBRS SSDSS STPST SURSR SVKSK SVNSI SWESE SWZSZ SXMSX SYCSC SYRSY TCATC TCDTD TGOTG THATH TJKTJ TKLTK TKMTM TLSTL TONTO TTOTT TUNTN TURTR TUVTV TWNTW TZATZ UGAUG UKRUA UMIUM URYUY USAUS UZBUZ VATVA VCTVC VENVE VGBVG VIRVI ' +
    'VNMVN VUTVU WLFWF WSMWS YEMYE ZAFZA ZMBZM ZWEZW'
  )
    .split(' ')
    .map(pair => [pair.slice(0, 3), pair.slice(3)]),
)
