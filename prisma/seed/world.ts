import { createRandom, type Random } from '../../src/algorithms/math/random.js'

/** The planted parameters of the demo shop; docs/demo-shop.md explains them. */
export const PLANTED = {
  users: 2_400,
  anonymousVisitors: 200,
  bots: 4,
  products: 600,
  linesPerCategory: 5,
  /** Logit of having left by now: intercept, per unit of fading, per unit of log activity. */
  churn: { intercept: -2.4, fade: 4.6, logActivity: -0.5 },
  /** Logit of a click on an ad. */
  ctr: { intercept: -3.2, tasteMatch: 1.3, mobile: 0.3, perPosition: -0.35, evening: 0.25, expensive: -0.4 },
  /** Logit of a purchase after a click. */
  cvr: { intercept: -2.2, tasteMatch: 0.9 },
  /** The planted bias: at equal interest, women are shown ads of this category with this share of the chance men have. */
  bias: { attribute: 'gender', group: 'female', category: 'Electronics', exposureShare: 0.5 },
  reviews: 3_600,
} as const

export const CATEGORIES = [
  ['Electronics', '电子产品'],
  ['Phone accessories', '手机配件'],
  ['Books', '图书'],
  ['Stationery', '文具'],
  ['Women’s clothing', '女装'],
  ['Shoes', '鞋靴'],
  ['Skin care', '护肤'],
  ['Fragrance', '香水'],
  ['Kitchen', '厨具'],
  ['Tea and coffee', '茶与咖啡'],
  ['Sports', '运动'],
  ['Outdoor', '户外'],
] as const

/** Each taste group loves two categories; the rest of its interest is spread over all. */
export const TASTES = [
  { name: 'technophiles', loves: [0, 1], share: 0.2, priceLevel: 1.25 },
  { name: 'readers', loves: [2, 3], share: 0.15, priceLevel: 0.8 },
  { name: 'fashion', loves: [4, 5], share: 0.2, priceLevel: 1.1 },
  { name: 'beauty', loves: [6, 7], share: 0.15, priceLevel: 1.2 },
  { name: 'home', loves: [8, 9], share: 0.15, priceLevel: 0.9 },
  { name: 'active', loves: [10, 11], share: 0.15, priceLevel: 1 },
] as const
export const LOVE_SHARES = [0.48, 0.34] as const

const BRANDS = ['Aurora', 'Beacon', 'Cedar', 'Delta', 'Ember', 'Fjord', 'Glade', 'Harbor', '晨光', '青禾', '远山', '云溪'] as const
const ADJECTIVES = [
  ['Light', '轻便'],
  ['Classic', '经典'],
  ['Smart', '智能'],
  ['Pure', '纯净'],
  ['Bold', '醒目'],
] as const
const NOUNS: readonly (readonly [string, string])[][] = [
  [
    ['headphones', '耳机'],
    ['speaker', '音箱'],
    ['tablet', '平板'],
    ['camera', '相机'],
  ],
  [
    ['case', '手机壳'],
    ['charger', '充电器'],
    ['cable', '数据线'],
    ['holder', '支架'],
  ],
  [
    ['novel', '小说'],
    ['cookbook', '菜谱'],
    ['biography', '传记'],
    ['atlas', '地图册'],
  ],
  [
    ['notebook', '笔记本'],
    ['pen', '钢笔'],
    ['planner', '日程本'],
    ['markers', '马克笔'],
  ],
  [
    ['dress', '连衣裙'],
    ['coat', '大衣'],
    ['blouse', '衬衫'],
    ['skirt', '半身裙'],
  ],
  [
    ['sneakers', '运动鞋'],
    ['boots', '靴子'],
    ['sandals', '凉鞋'],
    ['loafers', '乐福鞋'],
  ],
  [
    ['serum', '精华'],
    ['cream', '面霜'],
    ['cleanser', '洁面乳'],
    ['mask', '面膜'],
  ],
  [
    ['perfume', '香水'],
    ['body mist', '身体喷雾'],
    ['candle', '香薰蜡烛'],
    ['diffuser', '香薰机'],
  ],
  [
    ['pan', '平底锅'],
    ['knife', '厨刀'],
    ['kettle', '水壶'],
    ['bowl', '碗'],
  ],
  [
    ['green tea', '绿茶'],
    ['espresso', '浓缩咖啡'],
    ['oolong', '乌龙茶'],
    ['filter coffee', '滤挂咖啡'],
  ],
  [
    ['yoga mat', '瑜伽垫'],
    ['dumbbell', '哑铃'],
    ['jersey', '运动衫'],
    ['racket', '球拍'],
  ],
  [
    ['tent', '帐篷'],
    ['backpack', '背包'],
    ['lamp', '营灯'],
    ['bottle', '水瓶'],
  ],
]
const CONSUMABLE = new Set([3, 6, 9])
const BASE_PRICE = [120, 18, 16, 8, 60, 75, 28, 55, 35, 12, 30, 65]

export interface DemoProduct {
  id: number
  externalId: string
  category: number
  line: number
  brand: string
  title: string
  description: string
  attributes: Record<string, string>
  priceMicros: bigint
  marginShare: number
  stock: number
  /** −1 … 1; drives reviews. */
  quality: number
  popularity: number
  isConsumable: boolean
}

export interface DemoUser {
  id: number
  externalId: string
  taste: number
  /** Favourite line in each category. */
  lines: readonly number[]
  gender: 'female' | 'male'
  birthYear: number
  isChinese: boolean
  city: string
  name: string
  /** Sessions a month before anything else is counted in. */
  activity: number
  /** How much of the activity of the last months is gone, 0 … 1. */
  fade: number
  churnProbability: number
  hasChurned: boolean
  joinedDaysAgo: number
}

export interface DemoWorld {
  seed: number
  products: DemoProduct[]
  users: DemoUser[]
  crises: Crisis[]
}

/** Days on which a category gets many bad reviews. Size is in standard deviations of its daily number. */
export interface Crisis {
  category: number
  daysAgo: number
  days: number
  sigma: number
}

/** Everybody and everything in the shop, from the seed alone. Tests compare what models recover with this. */
export function createWorld(seed: number): DemoWorld {
  const random = createRandom(seed)
  return {
    seed,
    products: makeProducts(random.fork('products')),
    users: makeUsers(random.fork('users')),
    crises: makeCrises(random.fork('crises')),
  }
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/** Index drawn with probability proportional to the weights. */
export function draw(random: Random, weights: readonly number[]): number {
  let left = random.next() * weights.reduce((sum, weight) => sum + weight, 0)
  for (let index = 0; index < weights.length; index++) {
    left -= weights[index]
    if (left < 0) return index
  }
  return weights.length - 1
}

export function isLoved(taste: number, category: number): boolean {
  return (TASTES[taste].loves as readonly number[]).includes(category)
}

function makeProducts(random: Random): DemoProduct[] {
  return Array.from({ length: PLANTED.products }, (_, index) => {
    const category = index % CATEGORIES.length
    const place = Math.floor(index / CATEGORIES.length)
    const line = place % PLANTED.linesPerCategory
    const [noun, nounZh] = NOUNS[category][place % NOUNS[category].length]
    const [adjective, adjectiveZh] = ADJECTIVES[line]
    const brand = BRANDS[(category + line * 5 + (place % 2)) % BRANDS.length]
    const price = BASE_PRICE[category] * Math.exp(0.35 * random.normal()) * (1 + 0.12 * line)
    const quality = Math.max(-1, Math.min(1, 0.35 + 0.4 * random.normal()))
    return {
      id: index + 1,
      externalId: `p-${String(index + 1).padStart(4, '0')}`,
      category,
      line,
      brand,
      title: index % 2 === 0 ? `${brand} ${adjective} ${noun} No. ${place + 1}` : `${brand}${adjectiveZh}${nounZh} ${place + 1}号`,
      description: `${adjective} ${noun} of the ${brand} line for ${CATEGORIES[category][0].toLowerCase()}. ${brand}${adjectiveZh}系列${nounZh}，${CATEGORIES[category][1]}精选。`,
      attributes: { line: adjective, lineZh: adjectiveZh, kind: noun, kindZh: nounZh },
      priceMicros: BigInt(Math.round(price * 100)) * 10_000n,
      marginShare: Math.round((0.15 + 0.4 * random.next()) * 1000) / 1000,
      stock: random.next() < 0.03 ? 0 : 5 + random.below(400),
      quality,
      popularity: Math.exp(0.8 * random.normal()),
      isConsumable: CONSUMABLE.has(category),
    }
  })
}

const ZH_CITIES = ['上海', '北京', '杭州', '广州', '成都', '深圳']
const EN_CITIES = ['London', 'Manchester', 'Dublin', 'Boston', 'Toronto', 'Sydney']
export const COUNTRY_OF: Record<string, string> = {
  London: 'GB',
  Manchester: 'GB',
  Dublin: 'IE',
  Boston: 'US',
  Toronto: 'CA',
  Sydney: 'AU',
}
const ZH_NAMES = ['王', '李', '张', '刘', '陈', '杨', '赵', '黄']
const ZH_GIVEN = ['伟', '芳', '娜', '敏', '静', '磊', '洋', '艳', '杰', '涛']
const EN_NAMES = ['Smith', 'Jones', 'Taylor', 'Brown', 'Murphy', 'Wilson', 'Evans', 'Walsh']
const EN_GIVEN = ['Alice', 'Ben', 'Chloe', 'Daniel', 'Emma', 'Finn', 'Grace', 'Harry', 'Isla', 'Jack']

function makeUsers(random: Random): DemoUser[] {
  return Array.from({ length: PLANTED.users }, (_, index) => {
    const taste = draw(
      random,
      TASTES.map(each => each.share),
    )
    const isFemale = random.next() < [0.35, 0.5, 0.75, 0.85, 0.55, 0.4][taste]
    const isChinese = random.next() < 0.5
    const activity = Math.exp(0.45 + 0.55 * random.normal())
    const fade = random.next() < 0.45 ? random.next() : 0
    const { intercept, fade: perFade, logActivity } = PLANTED.churn
    const churnProbability = sigmoid(intercept + perFade * fade + logActivity * Math.log(activity))
    const given = random.below(10)
    const family = random.below(8)
    return {
      id: index + 1,
      externalId: `u-${String(index + 1).padStart(6, '0')}`,
      taste,
      lines: CATEGORIES.map(() => random.below(PLANTED.linesPerCategory)),
      gender: isFemale ? ('female' as const) : ('male' as const),
      birthYear: 1955 + random.below(50),
      isChinese,
      city: (isChinese ? ZH_CITIES : EN_CITIES)[random.below(6)],
      name: isChinese ? `${ZH_NAMES[family]}${ZH_GIVEN[given]}` : `${EN_GIVEN[given]} ${EN_NAMES[family]}`,
      activity,
      fade,
      churnProbability,
      hasChurned: random.next() < churnProbability,
      joinedDaysAgo: 120 + random.below(260),
    }
  })
}

function makeCrises(random: Random): Crisis[] {
  const sizes = [2, 2, 3, 3, 3, 4, 4, 4, 6, 6]
  return sizes.map((sigma, index) => ({
    category: (index * 5 + 2) % CATEGORIES.length,
    daysAgo: 30 + index * 30 + random.below(12),
    days: 2,
    sigma,
  }))
}
