import { createRandom, type Random } from '../../src/algorithms/math/random.js'
import { poisson } from './behaviour.js'
import { CATEGORIES, type DemoProduct, type DemoWorld, PLANTED } from './world.js'

export type Sentiment = 'positive' | 'neutral' | 'negative'

export interface DemoReview {
  externalId: string
  product: DemoProduct
  user: number
  text: string
  rating: number
  isChinese: boolean
  sentiment: Sentiment
  at: number
}

const DAY_MS = 86_400_000

const ASPECTS = {
  en: {
    positive: [
      'the quality is excellent',
      'delivery was really quick',
      'great value for the price',
      'it looks beautiful',
      'customer service helped at once',
      'it works perfectly',
    ],
    negative: [
      'the quality is terrible',
      'delivery took forever',
      'far too expensive',
      'it looks cheap',
      'customer service never answered',
      'it broke after a week',
    ],
    neutral: [
      'it is what the picture shows',
      'arrived on the day that was announced',
      'the size is as described',
      'I have not used it much yet',
    ],
  },
  zh: {
    positive: ['质量非常好', '物流很快', '性价比很高', '外观很漂亮', '客服很耐心', '用起来很顺手'],
    negative: ['质量太差了', '物流慢得离谱', '价格太贵不值', '做工很粗糙', '客服一直不回复', '用了一周就坏了'],
    neutral: ['和图片一样', '按时送到', '尺寸和描述一致', '还没怎么用'],
  },
} as const
const FRAMES = {
  en: {
    positive: [
      'I love it: {a}, and {b}.',
      'Not bad at all! {A}. {B}.',
      'Very happy, {a}.',
      '{A}. Would buy it again.',
      'I did not expect much, but {a}!',
    ],
    negative: [
      'Disappointed: {a}, and {b}.',
      'Not good. {A}.',
      '{A}. I want my money back.',
      'I would not recommend it, {a}.',
      'Never again: {a}!',
    ],
    neutral: ['It is okay. {A}.', '{A}. Nothing special, nothing wrong.', 'Average: {a}, {b}.'],
  },
  zh: {
    positive: ['很喜欢，{a}，{b}。', '真不错！{a}。', '{a}，下次还会买。', '没想到{a}，非常满意！', '一点也不差，{a}。'],
    negative: ['很失望，{a}，{b}。', '不好用，{a}。', '{a}，要求退款。', '不推荐，{a}。', '再也不买了，{a}！'],
    neutral: ['一般般，{a}。', '{a}，没有特别的感觉。', '还行吧，{a}，{b}。'],
  },
} as const

/** Reviews over a year, with the planted crises; the rating mostly agrees with the sentiment. */
export function reviewsOf(world: DemoWorld, now: Date): DemoReview[] {
  const random = createRandom(world.seed).fork('reviews')
  const midnight = Math.floor(now.getTime() / DAY_MS) * DAY_MS
  const reviews: DemoReview[] = []
  const byCategory = CATEGORIES.map((_, category) => world.products.filter(product => product.category === category))
  const perDay = PLANTED.reviews / 365 / CATEGORIES.length
  for (let daysAgo = 365; daysAgo >= 1; daysAgo--) {
    for (const [category, products] of byCategory.entries()) {
      const crisis = world.crises.find(each => each.category === category && daysAgo <= each.daysAgo && daysAgo > each.daysAgo - each.days)
      const extra = crisis ? Math.ceil(perDay + crisis.sigma * Math.max(1, Math.sqrt(perDay))) : 0
      const normal = poisson(random, perDay)
      for (let count = 0; count < normal + extra; count++) {
        const product = products[random.below(products.length)]
        const sentiment = count >= normal ? 'negative' : sentimentOf(product, random)
        reviews.push(
          reviewOf(world, product, sentiment, midnight - daysAgo * DAY_MS + random.below(DAY_MS - 1), reviews.length + 1, random),
        )
      }
    }
  }
  return reviews
}

function sentimentOf({ quality }: DemoProduct, random: Random): Sentiment {
  const positive = 0.5 + 0.35 * quality
  const roll = random.next()
  return roll < positive ? 'positive' : roll < positive + 0.18 ? 'neutral' : 'negative'
}

function reviewOf(
  { users }: DemoWorld,
  product: DemoProduct,
  sentiment: Sentiment,
  at: number,
  number: number,
  random: Random,
): DemoReview {
  const user = random.below(users.length)
  const { isChinese } = users[user]
  const language = isChinese ? 'zh' : 'en'
  const [a, b] = [pick(ASPECTS[language][sentiment], random), pick(ASPECTS[language][sentiment], random)]
  const text = pick(FRAMES[language][sentiment], random)
    .replace('{a}', a)
    .replace('{b}', b)
    .replace('{A}', upper(a))
    .replace('{B}', upper(b))
  const usual = { positive: 5, neutral: 3, negative: 1 }[sentiment]
  const rating = Math.max(1, Math.min(5, usual + (random.next() < 0.35 ? (usual === 5 ? -1 : usual === 1 ? 1 : random.below(3) - 1) : 0)))
  return { externalId: `demo-r-${number}`, product, user, text, rating, isChinese, sentiment, at }
}

const pick = <T>(list: readonly T[], random: Random): T => list[random.below(list.length)]
const upper = (text: string) => text[0].toUpperCase() + text.slice(1)

/** Questions and answers of the shop: [question, answer, alternatives] in English and in Chinese. */
export const FAQ: readonly { en: readonly [string, string, string[]]; zh: readonly [string, string, string[]] }[] = [
  {
    en: [
      'Where is my order?',
      'Open "My orders"; the parcel number there leads to the carrier.',
      ['Where is my parcel?', 'How do I track my parcel?', 'When will my package arrive?', 'My order has not arrived yet'],
    ],
    zh: [
      '我的订单到哪里了？',
      '在“我的订单”里点击运单号即可查询物流。',
      ['我的包裹在哪？', '怎么查物流？', '包裹什么时候到？', '什么时候发货？'],
    ],
  },
  {
    en: [
      'How do I return an item?',
      'Within 30 days: choose "Return" in your order and print the label.',
      ['Can I send something back?', 'I want to return this'],
    ],
    zh: ['怎么退货？', '收货后30天内在订单中选择“退货”，打印退货单即可。', ['可以退货吗？', '我想退货']],
  },
  {
    en: [
      'When do I get my refund?',
      'Three to five working days after the parcel reaches us.',
      ['How long does a refund take?', 'Where is my money?'],
    ],
    zh: ['退款多久到账？', '我们收到退货后3至5个工作日内退款。', ['钱什么时候退？', '退款要多长时间？']],
  },
  {
    en: ['How much is shipping?', 'Shipping is free from 49; below it costs 4.90.', ['Is delivery free?', 'What are the delivery costs?']],
    zh: ['运费多少？', '满49包邮，不满收取4.90运费。', ['包邮吗？', '邮费怎么算？']],
  },
  {
    en: [
      'Which payment methods are there?',
      'Card, PayPal, Alipay, WeChat Pay and invoice.',
      ['Can I pay with Alipay?', 'How can I pay?', 'Do you take credit cards?'],
    ],
    zh: ['有哪些支付方式？', '支持银行卡、支付宝、微信支付和货到付款。', ['可以用微信支付吗？', '怎么付款？', '支持支付宝吗？']],
  },
  {
    en: [
      'Can I change my order?',
      'Until it is packed: open the order and choose "Change".',
      ['I ordered the wrong size', 'Can I edit my order?'],
    ],
    zh: ['可以修改订单吗？', '打包之前可以在订单中点击“修改”。', ['我选错尺码了', '订单还能改吗？']],
  },
  {
    en: [
      'How do I cancel my order?',
      'Open the order and choose "Cancel"; that works until it is shipped.',
      ['Cancel my order please', 'I do not want it any more'],
    ],
    zh: ['怎么取消订单？', '发货前可以在订单中点击“取消”。', ['我要取消订单', '不想要了怎么办？']],
  },
  {
    en: [
      'The item is broken',
      'We are sorry. Send a photo by "Report a fault"; we replace it or refund you.',
      ['My product arrived damaged', 'It does not work'],
    ],
    zh: ['商品坏了怎么办？', '非常抱歉，请在“售后”里上传照片，我们为您换货或退款。', ['收到的东西是坏的', '不能用怎么办？']],
  },
  {
    en: ['Is there a warranty?', 'Two years on all electronics.', ['How long is the guarantee?', 'Do I have a warranty?']],
    zh: ['有保修吗？', '电子产品保修两年。', ['保修多久？', '质保期是多长？']],
  },
  {
    en: [
      'How do I redeem a voucher?',
      'Enter the code in the basket before you pay.',
      ['Where do I enter my code?', 'My coupon does not work'],
    ],
    zh: ['优惠券怎么用？', '付款前在购物车输入优惠码。', ['优惠码在哪里填？', '优惠券用不了']],
  },
  {
    en: [
      'Do you have it in another size?',
      'The sizes that are in stock can be chosen on the product page.',
      ['Is size 42 available?', 'Which sizes are there?'],
    ],
    zh: ['还有别的尺码吗？', '商品页面可以选择的尺码都有货。', ['有42码吗？', '有哪些尺码？']],
  },
  {
    en: [
      'When will it be in stock again?',
      'Click "Tell me" on the product page and we write to you.',
      ['Out of stock, when is it back?', 'Will you restock this?'],
    ],
    zh: ['什么时候补货？', '在商品页点击“到货提醒”，到货后通知您。', ['缺货什么时候有？', '还会上架吗？']],
  },
  {
    en: ['How do I change my address?', 'Under "My account", "Addresses".', ['I moved, new address', 'Change delivery address']],
    zh: ['怎么修改地址？', '在“我的账户”的“地址”里修改。', ['我搬家了', '收货地址怎么改？']],
  },
  {
    en: ['I forgot my password', 'Choose "Forgot password"; a link comes by e-mail.', ['I cannot log in', 'Reset my password']],
    zh: ['忘记密码怎么办？', '点击“忘记密码”，我们会发送重置链接。', ['登录不了', '怎么重置密码？']],
  },
  {
    en: [
      'How do I delete my account?',
      'Under "My account", "Privacy"; everything is erased within 30 days.',
      ['Erase my data', 'Close my account'],
    ],
    zh: ['怎么注销账户？', '在“我的账户”的“隐私”里申请，30天内删除所有数据。', ['删除我的数据', '我要注销']],
  },
  {
    en: [
      'Do you ship abroad?',
      'To all countries of the EU, the UK, the US, Canada, Australia and China.',
      ['International shipping?', 'Can you deliver to Canada?'],
    ],
    zh: ['可以寄到国外吗？', '可寄往欧盟、英国、美国、加拿大、澳大利亚和中国。', ['支持国际配送吗？', '能寄到加拿大吗？']],
  },
  {
    en: ['Can I get an invoice?', 'Every order has one under "My orders", "Invoice".', ['I need a receipt', 'Where is my bill?']],
    zh: ['可以开发票吗？', '在“我的订单”的“发票”里下载。', ['我要发票', '发票在哪里？']],
  },
  {
    en: [
      'Is my tea still fresh?',
      'The date stands on the bottom of the box; unopened it keeps for 18 months.',
      ['Best before date?', 'How long does it keep?'],
    ],
    zh: ['茶叶保质期多久？', '日期印在盒底，未开封可保存18个月。', ['保质期到什么时候？', '能放多久？']],
  },
  {
    en: [
      'Do you have a shop I can visit?',
      'In London and in Shanghai, Monday to Saturday from 10 to 20.',
      ['Where is your store?', 'Opening hours?'],
    ],
    zh: ['有实体店吗？', '在伦敦和上海，周一至周六10点到20点。', ['门店在哪里？', '几点开门？']],
  },
  {
    en: [
      'Can I talk to a person?',
      'Of course: write "a person, please", or call between 8 and 20.',
      ['Human please', 'I want to speak to an agent'],
    ],
    zh: ['可以找人工客服吗？', '当然，回复“人工”，或在8点到20点来电。', ['转人工', '我要找客服']],
  },
]
