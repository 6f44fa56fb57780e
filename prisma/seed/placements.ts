interface SeedPlacement {
  name: string
  description: string
  /** What differs from the defaults of recommendations/rules.ts. */
  rules: Record<string, unknown>
}

/** The places in which the demo shop recommends, each with an algorithm and rules of its own. */
export const PLACEMENTS: readonly SeedPlacement[] = [
  {
    name: 'buy-again',
    description: 'What the customer buys again and again · 再次购买',
    rules: { algorithm: 'REPEAT', onlyBought: true, excludeSeen: false },
  },
  {
    name: 'discover',
    description: 'What the customer does not know yet · 发现',
    rules: {
      algorithm: 'HYBRID',
      excludeSeen: true,
      excludeBought: true,
      diversity: 0.3,
      caps: [{ by: 'CATEGORY', value: null, most: 4 }],
    },
  },
  {
    name: 'similar',
    description: 'On a product page: what goes with the product · 相似商品',
    rules: { algorithm: 'AUTO', basis: 'CONTEXT', excludeSeen: false },
  },
  {
    name: 'cart',
    description: 'In the cart: what goes with what lies in it · 购物车推荐',
    rules: { algorithm: 'ITEM_CF', basis: 'CART', excludeSeen: false, excludeBought: true, marginWeight: 0.5, minimumStock: 2 },
  },
  {
    name: 'email',
    description: 'Newsletters: nothing bought or shown of late, nothing that runs out before it is read · 邮件',
    rules: { excludeSeen: false, excludeBought: true, excludeShownDays: 14, minimumStock: 10, diversity: 0.3 },
  },
  {
    name: 'search',
    description: 'Search results in the order of this customer; name the words as where.search · 搜索',
    rules: { excludeSeen: false },
  },
  {
    name: 'social',
    description: 'Posts for everybody: what rises now, a little more of what pays · 社交媒体',
    rules: {
      algorithm: 'TRENDING',
      excludeSeen: false,
      minimumStock: 20,
      marginWeight: 0.3,
      caps: [{ by: 'BRAND', value: null, most: 2 }],
    },
  },
]
