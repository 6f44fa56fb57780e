/** The intent of a text that asks for nothing: no intent is told of it. */
export const OTHER = 'other'

const lines: Readonly<Record<string, string>> = {
  buy: `I want to buy this
    I would like to order two of these
    can I place an order
    add it to my basket
    I'll take it
    how much is it and is it in stock
    where can I purchase this
    ready to check out now
    is there a discount if I buy three
    I want to pre-order the new one
    looking to buy a present
    do you have this available
    我想买这个
    要买两个
    怎么下单
    现在拍下什么时候发
    多少钱，有货吗
    我要了，给我来一个
    有优惠吗，想入手
    怎么购买
    可以便宜点吗，想订购
    加购了，能包邮吗`,
  complain: `this is terrible, it broke after a day
    I want to complain
    I am very disappointed
    my parcel still has not arrived
    the item is damaged and useless
    wrong size was sent
    poor quality, not worth the money
    nobody answers, this is unacceptable
    it does not work at all
    worst shop ever, a scam
    late again and the box was broken
    faulty product, it leaks
    我要投诉
    质量太差了
    东西坏了，不能用
    还没收到货，太慢了
    发错货了
    客服没人理
    假货，骗人
    非常失望，什么垃圾
    少发了一件
    破损了，差评`,
  ask: `how does this work?
    when will it arrive?
    what are your opening hours?
    can you tell me the size of it?
    which one is better?
    is it waterproof?
    do you ship to Canada?
    I have a question about my account
    could you explain the difference
    how long does delivery take
    where do I find the manual
    who can help me with that?
    这个怎么用
    什么时候发货
    请问有什么颜色
    几天能到？
    哪个好用一点
    可以寄到国外吗
    你们几点开门
    能不能介绍一下
    多久能到
    为什么是这样`,
  return: `I want to return it
    I want my money back
    please refund my order
    how can I send it back
    can I exchange it for another size
    cancel my order
    I need a replacement
    return label please
    where is my refund
    returning the shoes
    money back please
    take it back, I do not need it
    我想退货
    要求退款
    怎么换货
    可以退吗
    退钱
    取消订单
    给我换一个大一码的
    不想要了，退掉
    退货地址是什么
    申请退换`,
  praise: `I love it
    great product, thank you
    excellent quality, highly recommend
    perfect, very happy
    fast delivery, well done
    the best I ever had
    amazing service, thanks
    beautiful and works great
    good job
    fantastic, five stars
    wonderful, we are delighted
    really pleased with it
    非常好，很喜欢
    谢谢，很满意
    质量不错，推荐
    物流很快，好评
    太棒了
    完美，点赞
    很漂亮，给力
    客服很热情，感谢
    性价比高，会回购
    五星好评`,
  leave: `cancel my account
    unsubscribe me
    delete my data
    stop sending me emails
    I will never order here again
    close my account please
    I am leaving, goodbye
    switching to another shop
    cancel my membership
    opt out of the newsletter
    never again
    please remove me from your list
    注销账号
    退订
    不再买了
    再也不来了
    删除我的数据
    别再发短信了
    取消会员
    我要换一家
    拉黑你们
    卸载了，再见`,
  [OTHER]: `the parcel has a blue lid
    number 4711
    it is raining today
    I was at home yesterday
    my name is Anna
    order 100234 from Monday
    the second one on the left
    hello
    ok
    xyz
    we are three people
    it is a red one
    今天下雨
    订单号是12345
    我叫小王
    左边第二个
    在家里
    你好
    嗯
    红色的那个
    昨天看到的
    我们三个人`,
}

/** Messages of which the intent is plain, in English and Chinese: what a model that learns a shop's own intents knows of those of the first day. */
export const intentExamples: readonly { text: string; intent: string }[] = Object.entries(lines).flatMap(([intent, list]) =>
  list.split('\n').map(line => ({ text: line.trim(), intent })),
)
