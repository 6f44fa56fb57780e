/** Chinese words of judgement and their valence in [−5, 5], on the scale of AFINN; of reviews, messages and posts in shops. */
const byValence: Readonly<Record<number, string>> = {
  5: '完美 绝佳 惊艳 爱不释手 无可挑剔 物超所值 五星 太棒了',
  4: '非常好 超赞 很棒 棒极了 优秀 极好 赞 满意 超值 强烈推荐 惊喜 爱了 最好 卓越 一流 精美 精致 超级好',
  3:
    '喜欢 好用 好吃 好看 漂亮 推荐 棒 不错 划算 实惠 舒服 舒适 方便 给力 值得 正品 新鲜 细心 耐心 热情 贴心 流畅 清晰 高档 香 快捷 神速 好评 靠谱 放心 开心 高兴 感谢 谢谢 ' +
    '美味 可口 顺手 优质 周到 美观 时尚 实用 性价比高 有趣 精彩 感动 受益匪浅 经典 值得一读 可爱 干净 齐全 顺滑 柔软 保暖 省心 回购 点赞 大气 结实 牢固 好喝 好听 好玩 愉快 温馨 帅',
  2: '好 很好 快 很快 合适 合身 正常 不贵 便宜 便捷 稳定 安静 清楚 完好 完整 准时 及时 挺好 还好 可以 专业 认真 轻便 甜 凉快 适合 友好 亲切 帮助 准确 明白 省电 耐用 厚实 顺利 收获 支持 信赖',
  1: '还行 还可以 凑合 一样 符合 对得起',
  [-1]: '一般 一般般 普通 贵 偏小 偏大 偏贵 勉强 慢 旧 吵 薄 短 小贵 掉毛 掉色 麻烦',
  [-2]:
    '不怎么样 不咋样 不咋地 中看不中用 太慢 很慢 慢得离谱 太贵 粗糙 难 难看 难用 难吃 难闻 异味 臭 刺鼻 不行 不值 退货 退款 换货 缺货 漏 脏 破 坏 坏了 破损 损坏 故障 问题 卡 卡顿 死机 发热 噪音 褪色 起球 开线 变形 划痕 磕碰 不符 ' +
    '色差 掉漆 松动 迟迟 拖延 敷衍 不爽 郁闷 遗憾 可惜 无语 担心 后悔 不满 瑕疵 毛病 缺点 模糊 生硬 枯燥 乏味 无聊 啰嗦 错误 错别字 缺页 贵得离谱 投诉 抱怨 不回复 不理 冷淡 推卸 浪费 酸 烂掉 过期',
  [-3]: '毫无用处 一无是处 差 太差 很差 失望 差劲 糟糕 糟 烂 垃圾 假货 假的 骗 骗人 欺骗 上当 坑 坑人 劣质 山寨 恶心 讨厌 生气 气愤 愤怒 差评 恶劣 忽悠 虚假 盗版 伪劣 无耻 吐槽 鸡肋 崩溃 白买 受骗 没用 报废 发霉 变质 黑心',
  [-4]: '极差 最差 太烂 非常差 垃圾货 差到极点 极其失望 非常失望 骗子 奸商 无良 千万别买 再也不买 一塌糊涂',
  [-5]: '诈骗 害人 中毒 爆炸 有毒',
}

export const chineseValence: ReadonlyMap<string, number> = new Map(
  Object.entries(byValence).flatMap(([valence, words]) => words.split(' ').map(word => [word, Number(valence)] as const)),
)

export const chineseNegations =
  '不 没 没有 不是 无 未 别 并非 并不 不太 不怎么 毫无 不会 不能 不够 从不 毫不 没什么 不再 不算 谈不上 一点也不 不要'.split(' ')

export const chineseIntensifiers: ReadonlyMap<string, number> = new Map([
  ...'非常 特别 超级 超 极 极其 太 十分 相当 最 完全 绝对 极度 格外 超级无敌 巨 尤其 真心 真是 异常 无比 实在'
    .split(' ')
    .map(word => [word, 1.6] as const),
  ...'很 真 好 挺 蛮 更 确实 的确 够 真的'.split(' ').map(word => [word, 1.25] as const),
  ...'有点 有些 稍微 略 略微 稍 一点 比较 还 还算 基本 基本上 还是'.split(' ').map(word => [word, 0.6] as const),
])
