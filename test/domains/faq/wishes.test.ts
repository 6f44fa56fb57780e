import { describe, expect, test } from '@jest/globals'
import { agrees, asksForPerson, choiceIn, complainsOfAnswer, isGreeting, refuses } from '../../../src/faq/wishes.js'

describe('a person is asked for', () => {
  test.each([
    'A person, please',
    'a PERSON please!!!',
    'human',
    'HUMAAAAN please',
    'ｈｕｍａｎ ｐｌｅａｓｅ',
    'agent',
    'live agent',
    'representative!!',
    'customer service',
    'support please',
    'let me talk to a human being',
    'Can I talk to someone?',
    'can i speak with a manager',
    'I would like to speak to a real person',
    "I'd like to chat with an agent",
    'talking to a robot is pointless, I want a human',
    'I need someone real, connect me with an operator',
    'please transfer me to customer support',
    'Put me through.',
    'get me your supervisor',
    'give me a human',
    'is there anybody there?',
    'is anyone there',
    'Is there a real person I can talk to?',
    'can a human help me',
    "I don't want to talk to a bot",
    'no more bots',
    'please call me back',
    'escalate this',
    'I need to speak to somebody about my order',
    'I want to contact a person',
    'i need help from a human',
    'speak to a humna',
    'a preson please',
    'talk to an agnet',
    'representitive',
    '转人工',
    '轉人工客服',
    '人工',
    '人工服务',
    '我要找真人客服',
    '有真人吗',
    '有人吗？',
    '有没有人能帮我',
    '客服在吗',
    '客服',
    '帮我接客服',
    '怎么联系客服',
    '叫你们经理来',
    '我要找负责人',
    '找一个人跟我说',
    '我想和人说话',
    '不要机器人',
    '不想跟机器人聊',
    '换个人来',
    'i dont want to talk to a robot',
    'I don’t want a bot',
    'stop this bot',
    'transfer to human',
    'taslk to a human',
    'I want to complain to a manager',
    'can someone help me please',
    'call me',
    '我想和客服聊聊',
    '转人宫',
    '客服电话',
    '换人',
    '叫人来',
    '我要找人',
    '打电话给我',
    '机器人滚',
    '请给我回电话',
    '能不能让人来处理',
    'zhuan rengong',
  ])('by %s', text => expect(asksForPerson(text)).toBe(true))

  test.each([
    'What does it cost per person?',
    'personal data',
    'Can I pick it up in person?',
    'Can another person collect my parcel?',
    'Can I send it to someone else?',
    'Is this a real human hair wig?',
    'Do you have a tent for a person of two metres?',
    'how do I manage my orders',
    'How does the robot vacuum work?',
    'Does the speaker work with a computer?',
    'Does it work without a computer?',
    'I am not a robot',
    'How many people work for you?',
    'Do you support PayPal?',
    'Which customs fees are there?',
    'I need a personal code',
    'how long does delivery take',
    '客服态度不好',
    '客服几点上班',
    '人工智能音箱怎么用',
    '是人工皮革吗',
    '有真人模特图吗',
    '送人的礼物可以包装吗',
    '别人能代收吗',
    '机器人吸尘器怎么充电',
    'is it too tall to go with people my size',
    'is this a machine I can return',
    "I don't need a robot vacuum, can I return it",
    'can someone help me choose a size',
    '想找人代收可以吗',
    '和客服说好的赠品没有收到怎么办',
  ])('but not by %s', text => expect(asksForPerson(text)).toBe(false))
})

describe('a reply', () => {
  test.each<[string, number]>([
    ['1', 0],
    ['1.', 0],
    ['the first', 0],
    ['First one please', 0],
    ['option 2', 1],
    ['#2', 1],
    ['The second one.', 1],
    ['I mean the second', 1],
    ['2nd', 1],
    ['b', 1],
    ['第三个', 2],
    ['選第二個', 1],
    ['我要第一个', 0],
    ['２', 1],
    ['the last one', 2],
    ['最后一个', 2],
    ['neither', -1],
    ['12', -1],
    ['no one', -1],
    ['一共多少钱', -1],
    ['星期二送货吗', -1],
    ['2楼在哪里', -1],
    ['买2送1吗', -1],
    ['A类会员是什么', -1],
    ['十一能发货吗', -1],
  ])('chooses by its place: %s', (text, at) => expect(choiceIn(text)).toBe(at))

  test('chooses nothing that was not offered', () => {
    expect(choiceIn('3', 2)).toBe(-1)
    expect(choiceIn('the last one', 2)).toBe(1)
  })

  test.each(['yes', 'Yes, please', 'yeah', "that's it", '是', '是的。', '对', '没错', '嗯嗯'])('agrees: %s', text =>
    expect(agrees(text)).toBe(true),
  )

  test.each(['运费是多少', '你们是在哪里', '对公账户怎么付', 'yes or no', 'right of return', '不是', '嗯怎么退货'])('does not: %s', text =>
    expect(agrees(text)).toBe(false),
  )

  test.each(['no', 'No, neither', 'none of these', 'neither', 'something else', '不是', '都不是', '以上都不是', '没有我要的', '别的'])(
    'turns down what was offered: %s',
    text => expect(refuses(text)).toBe(true),
  )

  test.each([
    "that's not what I asked",
    'That did not help',
    "It doesn't help me",
    'not helpful',
    'wrong answer',
    "no, that isn't right",
    "you didn't answer my question",
    '没用',
    '答非所问',
    '不是这个意思',
    '没有解决问题',
  ])('says that an answer was of no use: %s', text => expect(complainsOfAnswer(text)).toBe(true))

  test.each([
    'no refund yet',
    'is there no invoice',
    '没有发票怎么办',
    '不是正品可以退吗',
    'my phone is not helpful to me',
    'it does not work with my phone',
    'no thanks',
  ])('does neither: %s', text => expect(refuses(text) || complainsOfAnswer(text)).toBe(false))
})

describe('a greeting', () => {
  test.each(['Hello!', 'hi there', 'ok, thanks!', 'no thanks', 'Good morning', '你好', '您好，在吗', '谢谢您', '好的谢谢', '再见👋'])(
    'is one: %s',
    text => expect(isGreeting(text)).toBe(true),
  )

  test.each([
    '怎么退货，谢谢',
    '我要退货谢谢',
    '快递多久到？谢谢',
    '质量不好',
    '这样不好的',
    'hi where is my order',
    'good morning tea',
    '早餐机怎么用',
    '你好，怎么退货',
  ])('is none where something is asked: %s', text => expect(isGreeting(text)).toBe(false))
})
