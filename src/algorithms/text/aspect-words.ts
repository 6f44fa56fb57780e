/** Aspects of goods by category, each with the words that name it in English and Chinese. `any` holds for every category. */
const lists: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  any: {
    price: 'price prices cost costs value expensive cheap overpriced money 价格 价钱 价位 性价比 贵 便宜 实惠 划算',
    quality: 'quality build workmanship craftsmanship material materials 质量 品质 做工 材质 用料 质感',
    delivery: 'delivery shipping courier arrived arrival shipment 物流 快递 发货 送货 配送 到货 速度',
    packaging: 'packaging package packing box 包装 盒子 外包装',
    service: 'service support staff seller customer-service 客服 服务 态度 售后 卖家 店家 商家',
    looks: 'look looks design style color colour appearance 外观 颜色 样子 款式 设计 造型 色差',
    size: 'size sizes fit fits 尺寸 大小 尺码 码数',
    smell: 'smell smells odor odour scent 味道 气味 异味',
    returns: 'refund refunds return returns exchange warranty 退货 退款 换货 保修',
    instructions: 'instructions manual documentation 说明书 说明',
  },
  electronics: {
    battery: 'battery charge charging charger 电池 续航 充电 充电器 待机 电量',
    screen: 'screen display resolution 屏幕 屏 显示 分辨率 显示屏',
    sound: 'sound audio speaker speakers volume headphones 声音 音质 音量 喇叭 音效',
    camera: 'camera photo photos picture pictures 相机 拍照 摄像头 像素 照片',
    speed: 'performance processor fast slow lag 性能 运行 反应 处理器 卡顿',
    keyboard: 'keyboard keys touchpad mouse trackpad 键盘 按键 鼠标 触摸板',
    software: 'software app apps windows system os 系统 软件 应用',
    heat: 'heat fan noise temperature 散热 发热 风扇 噪音 温度',
    signal: 'signal wifi bluetooth connection network 信号 蓝牙 网络 连接',
  },
  clothing: {
    fabric: 'fabric cloth cotton leather lining 面料 布料 料子 棉 皮',
    comfort: 'comfort comfortable soft 舒适 舒服 柔软',
    seams: 'seam seams stitching zipper button 线头 缝线 拉链 扣子',
    washing: 'wash washing shrink fade 掉色 褪色 缩水 洗',
  },
  food: {
    taste: 'taste flavor flavour food dish dishes 口感 口味 味道 好吃',
    freshness: 'fresh freshness 新鲜 保质期 日期 生产日期',
    portion: 'portion portions serving amount 分量 份量 个头 数量',
    place: 'atmosphere ambience place decor 环境 氛围',
  },
  books: {
    content: 'content story plot chapters 内容 故事 情节 章节',
    print: 'print printing paper binding 印刷 纸张 纸质 装订 字体',
    writing: 'writing author translation 文笔 作者 翻译 语言',
  },
  home: {
    room: 'room rooms bed bathroom 房间 床 卫生间 浴室',
    installation: 'installation install assembly 安装 组装',
    cleaning: 'clean cleaning hygiene 卫生 清洁 干净',
    effect: 'effect result results 效果 去屑 功效',
  },
}

export const CATEGORIES: readonly string[] = Object.keys(lists).filter(name => name !== 'any')

/** Word → aspect, of one category and of all goods; of every category where it is unknown. */
export function curatedAspects(category?: string): ReadonlyMap<string, string> {
  const own = category === undefined ? undefined : lists[category.toLowerCase()]
  const chosen = own ? [own] : Object.entries(lists).flatMap(([name, list]) => (name === 'any' ? [] : [list]))
  const words = new Map<string, string>()
  // The category's own meaning of a word comes before the general one: 味道 is the taste of food and the smell of the rest.
  for (const list of [...chosen, lists.any])
    for (const [aspect, text] of Object.entries(list)) for (const word of text.split(' ')) if (!words.has(word)) words.set(word, aspect)
  return words
}
