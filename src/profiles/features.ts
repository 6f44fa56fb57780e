/** One number that is known of every user, in plain words; models, clusters and segment rules call it by `name`. */
export interface Feature {
  name: string
  en: string
  zh: string
  unit: 'days' | 'count' | 'money' | 'share' | 'level' | 'stars' | 'years'
  /** Made of the counts OF_EVENTS and OF_DAYS before the moment `as_of`; NULL is unknown. */
  sql: string
  /** Exact at any moment from a stored time: days since that column of "UserProfile". */
  since?: 'lastOrderAt' | 'firstEventAt' | 'firstOrderAt' | 'lastEventAt'
}

const AGE = (moment: string) => `date_part('epoch', as_of - ${moment}) / 86400`
const WITHIN = (days: number, at = 'at') => `${at} >= as_of - interval '${days} days'`
const BETWEEN = (from: number, to: number, at = 'at') => `${WITHIN(to, at)} AND NOT ${WITHIN(from, at)}`
const COUNT = (condition: string) => `count(*) FILTER (WHERE ${condition})`
const SHARE = (part: string, whole: string) => `${part}::float8 / nullif(${whole}, 0)`
const ORDER = `type = 'PURCHASE'`

/** What is counted over the user's events (of `valued`, see `featuresSql`) … */
const OF_EVENTS = {
  first_event: 'min(at)',
  last_event: 'max(at)',
  first_order: `min(at) FILTER (WHERE ${ORDER})`,
  last_order: `max(at) FILTER (WHERE ${ORDER})`,
  amount: 'coalesce(sum(amount), 0)',
  spent: `sum(amount) FILTER (WHERE ${ORDER})`,
  events: 'count(*)',
  events7: COUNT(WITHIN(7)),
  events30: COUNT(WITHIN(30)),
  events31to90: COUNT(BETWEEN(30, 90)),
  views30: COUNT(`type = 'VIEW' AND ${WITHIN(30)}`),
  carts30: COUNT(`type = 'ADD_TO_CART' AND ${WITHIN(30)}`),
  carts: COUNT(`type = 'ADD_TO_CART'`),
  views_and_carts: COUNT(`type IN ('VIEW', 'ADD_TO_CART')`),
  purchases: COUNT(ORDER),
  cheap_purchases: COUNT(`${ORDER} AND discounted`),
  refunds: COUNT(`type = 'REFUND'`),
  in_the_evening: COUNT('hour >= 18'),
  mobile: COUNT(`channel = 'mobile'`),
  of_known_channel: COUNT('channel IS NOT NULL'),
  price_ratio: `avg(price_ratio) FILTER (WHERE type IN ('PURCHASE', 'ADD_TO_CART'))`,
  rating: `avg(value) FILTER (WHERE type = 'RATING')`,
  products: 'count(DISTINCT product)',
  born: 'min(born)',
  mood: 'min(mood)',
  repeated: 'sum(copies - 1)',
  cut: `count(*) FILTER (WHERE own_currency AND abs(line) > $3::float8 AND type IN ('PURCHASE', 'REFUND'))`,
  foreign_money: `count(*) FILTER (WHERE NOT own_currency AND type IN ('PURCHASE', 'REFUND'))`,
  unpriced: `count(*) FILTER (WHERE line IS NULL AND ${ORDER})`,
}
/** … and over his days. */
const OF_DAYS = {
  order_days: 'count(ordered_at)',
  orders30: COUNT(WITHIN(30, 'ordered_at')),
  orders90: COUNT(WITHIN(90, 'ordered_at')),
  active30: COUNT(WITHIN(30, 'active_at')),
  active90: COUNT(WITHIN(90, 'active_at')),
  active91to365: COUNT(BETWEEN(90, 365, 'active_at')),
  most_of_day: 'max(events_of_day)',
  most_of_hour: 'max(most_of_hour)',
}

/**
 * How active somebody was before the last 90 days: a Poisson rate with a gamma prior of 3 active days in 40, which is that of shops, so that one day of a
 * newcomer makes no habit. WEIGHT / SPAN is the rate a day, EXPECTED90 the active days that the last 90 would have had, had nothing changed.
 */
const WEIGHT = '(active91to365 + 3)'
const SPAN = `(greatest(0, least(365, ${AGE('first_event')}) - 90) + 40)`
const RECENT = `least(90, ${AGE('first_event')})`
const EXPECTED90 = `${WEIGHT} / ${SPAN} * ${RECENT}`
/** ln of the likelihood of the last 90 days (negative binomial) had the activity fallen to a share of 0.2 to 0.8, over that of no change. */
const FADING = `ln((${[0.2, 0.4, 0.6, 0.8]
  .map(
    share => `exp(active90 * ln(${share}::float8) + (${WEIGHT} + active90) * ln((${SPAN} + ${RECENT}) / (${SPAN} + ${share} * ${RECENT})))`,
  )
  .join(' + ')}) / 4)`

/**
 * The one definition of the features, for training (at a moment in the past) and for serving (now): every moment is relative to `as_of`, and no event
 * at or after it counts. New ones are appended; a change of an existing one raises FEATURE_VERSION. Gender and country are left to rules on purpose:
 * no model learns from them.
 */
export const FEATURES: readonly Feature[] = [
  {
    name: 'recencyDays',
    en: 'days since the last order',
    zh: '距上次下单天数',
    unit: 'days',
    sql: AGE('last_order'),
    since: 'lastOrderAt',
  },
  { name: 'orderDays', en: 'days with an order', zh: '下单天数', unit: 'count', sql: 'order_days' },
  { name: 'monetary', en: 'money spent, net of refunds', zh: '净消费金额', unit: 'money', sql: 'amount / 1e6' },
  {
    name: 'tenureDays',
    en: 'days since the first event',
    zh: '首次到访至今天数',
    unit: 'days',
    sql: AGE('first_event'),
    since: 'firstEventAt',
  },
  {
    name: 'firstOrderDays',
    en: 'days since the first order',
    zh: '首次下单至今天数',
    unit: 'days',
    sql: AGE('first_order'),
    since: 'firstOrderAt',
  },
  { name: 'silentDays', en: 'days since the last event', zh: '沉默天数', unit: 'days', sql: AGE('last_event'), since: 'lastEventAt' },
  {
    name: 'averageOrderValue',
    en: 'money per day with an order',
    zh: '平均客单价',
    unit: 'money',
    sql: 'spent / 1e6 / nullif(order_days, 0)',
  },
  {
    name: 'orderGapDays',
    en: 'days between orders, on average',
    zh: '平均下单间隔',
    unit: 'days',
    sql: "date_part('epoch', last_order - first_order) / 86400 / nullif(order_days - 1, 0)",
  },
  { name: 'events7', en: 'events of the last 7 days', zh: '近7天行为数', unit: 'count', sql: 'events7' },
  { name: 'events30', en: 'events of the last 30 days', zh: '近30天行为数', unit: 'count', sql: 'events30' },
  { name: 'events31to90', en: 'events 31 to 90 days ago', zh: '31–90天前行为数', unit: 'count', sql: 'events31to90' },
  {
    name: 'views30',
    en: 'product views of the last 30 days',
    zh: '近30天浏览数',
    unit: 'count',
    sql: 'views30',
  },
  {
    name: 'carts30',
    en: 'products put into the cart in the last 30 days',
    zh: '近30天加购数',
    unit: 'count',
    sql: 'carts30',
  },
  {
    name: 'orders30',
    en: 'days with an order in the last 30 days',
    zh: '近30天下单天数',
    unit: 'count',
    sql: 'orders30',
  },
  {
    name: 'orders90',
    en: 'days with an order in the last 90 days',
    zh: '近90天下单天数',
    unit: 'count',
    sql: 'orders90',
  },
  { name: 'activeDays30', en: 'active days of the last 30', zh: '近30天活跃天数', unit: 'count', sql: 'active30' },
  { name: 'activeDays90', en: 'active days of the last 90', zh: '近90天活跃天数', unit: 'count', sql: 'active90' },
  {
    name: 'activeDays91to365',
    en: 'active days 91 to 365 days ago',
    zh: '91–365天前活跃天数',
    unit: 'count',
    sql: 'active91to365',
  },
  {
    name: 'activityTrend',
    en: 'activity of the last 90 days against the time before (0: unchanged)',
    zh: '近90天活跃度相对此前的变化（0为不变）',
    unit: 'level',
    sql: `CASE WHEN first_event < as_of - interval '120 days' THEN ln((active90 + 1) / (90.0 * active91to365 / (least(365, ${AGE('first_event')}) - 90) + 1)) END`,
  },
  {
    name: 'priceLevel',
    en: 'price paid, against the usual of its category',
    zh: '价格偏好',
    unit: 'level',
    sql: 'exp(price_ratio)',
  },
  {
    name: 'discountShare',
    en: 'share of purchases below the list price',
    zh: '折扣购买占比',
    unit: 'share',
    sql: SHARE('cheap_purchases', 'purchases'),
  },
  { name: 'returnRate', en: 'refunds per purchase', zh: '退货率', unit: 'share', sql: SHARE('refunds', 'purchases') },
  {
    name: 'cartRate',
    en: 'share of product views that went into the cart',
    zh: '加购率',
    unit: 'share',
    sql: SHARE('carts', 'views_and_carts'),
  },
  {
    name: 'eveningShare',
    en: 'share of events from 18 to 24 o’clock',
    zh: '晚间行为占比',
    unit: 'share',
    sql: SHARE('in_the_evening', 'events'),
  },
  {
    name: 'mobileShare',
    en: 'share of events on a phone',
    zh: '移动端占比',
    unit: 'share',
    sql: SHARE('mobile', 'of_known_channel'),
  },
  {
    name: 'ratingMean',
    en: 'stars given, on average',
    zh: '平均评分',
    unit: 'stars',
    sql: 'rating',
  },
  { name: 'productsSeen', en: 'different products', zh: '涉及商品数', unit: 'count', sql: 'products' },
  { name: 'ageYears', en: 'years of age', zh: '年龄', unit: 'years', sql: 'extract(year FROM as_of) - born' },
  {
    name: 'reviewSentiment',
    en: 'mood of the reviews written (−1 bad to 1 good)',
    zh: '评论情感（−1差至1好）',
    unit: 'level',
    sql: 'mood',
  },
  {
    name: 'usualActivity',
    en: 'active days in 30 before the last 90 days, drawn to the usual where little is known',
    zh: '90天前的平常活跃度（每30天活跃天数）',
    unit: 'count',
    sql: `30 * ${WEIGHT} / ${SPAN}`,
  },
  {
    name: 'activityDrop',
    en: 'active days of the last 90 against those expected from before (0: as expected)',
    zh: '近90天活跃天数相对预期（0为符合预期）',
    unit: 'level',
    sql: `ln((active90 + 2) / (${EXPECTED90} + 2))`,
  },
  {
    name: 'fadingEvidence',
    en: 'evidence that activity has faded in the last 90 days (above 0: likelier than not)',
    zh: '近90天活跃度减退的证据（大于0更可能减退）',
    unit: 'level',
    sql: FADING,
  },
]

export const FEATURE_VERSION = 2
export const FEATURE_NAMES: readonly string[] = FEATURES.map(({ name }) => name)

/** Events of one hour, and of one day, beyond which nobody clicks by hand. */
export const BOT_PER_HOUR = 300
export const BOT_PER_DAY = 1_500
/** Days after which an event tells half as much of what somebody likes. */
export const HALF_LIFE_DAYS = 90
/** How many of the newest events of a user count. More come only from machines. */
export const NEWEST_EVENTS = 20_000
const LIKING = `CASE type WHEN 'PURCHASE' THEN 5 WHEN 'ADD_TO_CART' THEN 3 WHEN 'ADD_TO_WISHLIST' THEN 2 WHEN 'CLICK' THEN 1 WHEN 'VIEW' THEN 1 ELSE 0 END`

/** Persons who refused PROFILING, and records that were merged into another, have no profile. */
export const MAY_BE_PROFILED = `u."mergedIntoId" IS NULL AND NOT EXISTS (SELECT 1 FROM "Consent" c WHERE c."userId" = u.id AND c.purpose = 'PROFILING' AND NOT c.granted)`

/**
 * The statement that makes features: a row a user of `scope` (a condition on "User" u).
 * Parameters: $1 as_of, $2 the account's currency, $3 the amount in micros beyond which a line of an order is an outlier and is cut to, $4 time zone of
 * users without one, $5 the features of somebody without events, $6 {category: mean of ln(price in micros)}. Pre-processing, each counted in `leftOut`:
 * identical events of one millisecond are one; amounts beyond $3 are cut; amounts of another currency do not count as money; events from the future do not
 * count yet; of more than 20,000 events the newest count. Days and hours are those of the user's own time zone.
 */
export function featuresSql(scope: string): string {
  return `
  WITH who AS (SELECT u.id, coalesce(u."timeZone", $4::text) AS zone, u."birthYear" AS born, u.version FROM "User" u WHERE ${MAY_BE_PROFILED} AND ${scope}),
  usual AS MATERIALIZED (SELECT key AS category, value::float8 AS level FROM jsonb_each_text($6::jsonb)),
  raw AS (
    SELECT who.id AS "userId", who.zone, who.born, r.* FROM who CROSS JOIN LATERAL (
      SELECT x."occurredAt" AS at, x.type, x.value, x."productId" AS product, x.quantity, x."priceMicros" AS price, x."currencyCode" AS currency,
        coalesce(x.properties->>'channel', x.properties->>'device') AS channel
      FROM "Event" x WHERE x."userId" = who.id AND x."occurredAt" < $1::timestamptz ORDER BY x."occurredAt" DESC LIMIT ${NEWEST_EVENTS}) r OFFSET 0),
  reviewed AS (SELECT r."userId", avg(CASE r.sentiment WHEN 'POSITIVE' THEN 1 WHEN 'NEGATIVE' THEN -1 ELSE 0 END)::float8 AS mood FROM who JOIN "Review" r ON r."userId" = who.id
    WHERE r.sentiment IS NOT NULL AND r.sentiment <> 'UNDECIDED' AND r."createdAt" < $1::timestamptz GROUP BY 1),
  e AS (
    SELECT "userId", at, type, value, product, quantity, price, currency, min(channel) AS channel, min(zone) AS zone, min(born) AS born, count(*) AS copies
    FROM raw GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
  valued AS MATERIALIZED (
    SELECT e."userId", e.at, $1::timestamptz AS as_of, e.born, e.type::text AS type, e.value, e.product, e.channel, e.copies, reviewed.mood,
      p.categories[1] AS category, p.brand,
      (e.at AT TIME ZONE e.zone)::date AS day,
      date_part('hour', e.at AT TIME ZONE e.zone)::int AS hour,
      l.line, l.own_currency,
      e.price < 0.98 * p."priceMicros" AND e.currency = p."currencyCode" AS discounted,
      CASE WHEN e.price > 0 AND e.currency = p."currencyCode" THEN ln(e.price) - usual.level END AS price_ratio,
      CASE WHEN NOT l.own_currency OR l.line IS NULL THEN NULL WHEN e.type = 'PURCHASE' THEN least(l.line, $3::float8) WHEN e.type = 'REFUND' THEN -least(abs(l.line), $3::float8) END AS amount
    FROM e CROSS JOIN LATERAL (SELECT e.price * coalesce(e.quantity, 1)::float8 AS line, coalesce(e.currency, $2::text) = $2::text AS own_currency) l
      LEFT JOIN "Product" p ON p.id = e.product LEFT JOIN usual ON usual.category = p.categories[1] LEFT JOIN reviewed ON reviewed."userId" = e."userId"),
  of_events AS (SELECT "userId", as_of, ${columnsOf(OF_EVENTS)} FROM valued GROUP BY 1, 2),
  hours_of_days AS (
    SELECT "userId", as_of, day, hour, count(*) AS n, max(at) AS active_at, max(at) FILTER (WHERE ${ORDER}) AS ordered_at FROM valued GROUP BY 1, 2, 3, 4),
  of_days AS (
    SELECT "userId", ${columnsOf(OF_DAYS)} FROM (
      SELECT "userId", as_of, max(active_at) AS active_at, max(ordered_at) AS ordered_at, sum(n) AS events_of_day, max(n) AS most_of_hour FROM hours_of_days GROUP BY "userId", as_of, day) d
    GROUP BY 1),
  liking AS (
    SELECT "userId", kind, name, sum(weight) AS weight FROM (
      SELECT "userId", category, brand, (${LIKING}) * exp(-ln(2) * date_part('epoch', as_of - at) / 86400 / ${HALF_LIFE_DAYS}) AS weight FROM valued) w
      CROSS JOIN LATERAL (VALUES ('category', category), ('brand', brand)) AS named(kind, name)
    WHERE weight > 0 AND name IS NOT NULL GROUP BY 1, 2, 3),
  likings AS (
    SELECT "userId", coalesce(jsonb_agg(jsonb_build_array(name, round(weight::numeric, 6)) ORDER BY weight DESC, name) FILTER (WHERE kind = 'category'), '[]') AS categories,
      coalesce(jsonb_agg(jsonb_build_array(name, round(weight::numeric, 6)) ORDER BY weight DESC, name) FILTER (WHERE kind = 'brand'), '[]') AS brands
    FROM liking GROUP BY 1),
  habits AS (
    SELECT "userId", jsonb_object_agg(channel, n) FILTER (WHERE channel IS NOT NULL) AS channels FROM (SELECT "userId", channel, count(*) AS n FROM valued GROUP BY 1, 2) c GROUP BY 1),
  clock AS (
    SELECT "userId", array_agg(n ORDER BY hour) AS counts, array_agg(hour ORDER BY hour) AS "at" FROM (SELECT "userId", hour, sum(n)::int AS n FROM hours_of_days GROUP BY 1, 2) c GROUP BY 1),
  seen AS (SELECT who.id AS "userId", who.version, who.born AS "birthYear", n.* FROM who CROSS JOIN LATERAL (
    SELECT count(*)::int AS count, max(x.id) AS last, count(*) FILTER (WHERE x."occurredAt" >= $1::timestamptz)::int AS future FROM "Event" x WHERE x."userId" = who.id) n)
  SELECT seen."userId", seen.count AS "eventCount", coalesce(seen.last, 0) AS "lastEventId", seen.version AS "userVersion",
    first_event AS "firstEventAt", last_event AS "lastEventAt", first_order AS "firstOrderAt", last_order AS "lastOrderAt",
    coalesce(order_days, 0)::int AS "orderDays", coalesce(amount, 0)::int8 AS "monetaryMicros",
    CASE WHEN first_event IS NULL THEN ${WITHOUT_EVENTS} ELSE ARRAY[${FEATURES.map(({ sql }) => `coalesce((${sql})::float8, 'NaN')`).join(', ')}] END AS features,
    coalesce(likings.categories, '[]') AS categories, coalesce(likings.brands, '[]') AS brands,
    coalesce(habits.channels, '{}') AS channels,
    (SELECT array_agg(coalesce(clock.counts[array_position(clock."at", h)], 0) ORDER BY h) FROM generate_series(0, 23) AS h) AS hours,
    coalesce(most_of_hour > ${BOT_PER_HOUR} OR most_of_day > ${BOT_PER_DAY}, false) AS "isBot",
    jsonb_strip_nulls(jsonb_build_object('repeatedInOneMillisecond', nullif(repeated, 0), 'amountsCutToTheOutlierLimit', nullif(cut, 0), 'otherCurrencies', nullif(foreign_money, 0),
      'ordersWithoutPrice', nullif(unpriced, 0), 'fromTheFuture', nullif(seen.future, 0), 'olderThanTheNewest20000', nullif(greatest(0, seen.count - seen.future - ${NEWEST_EVENTS}), 0))) AS "leftOut"
  FROM seen LEFT JOIN of_events USING ("userId") LEFT JOIN of_days USING ("userId") LEFT JOIN likings USING ("userId") LEFT JOIN habits USING ("userId") LEFT JOIN clock USING ("userId")`
}

const AGE_PLACE = 1 + FEATURE_NAMES.indexOf('ageYears')
/** Of somebody without events only the age is known. */
const WITHOUT_EVENTS = `($5::float8[])[:${AGE_PLACE - 1}] || coalesce((extract(year FROM $1::timestamptz) - seen."birthYear")::float8, 'NaN') || ($5::float8[])[${AGE_PLACE + 1}:]`

function columnsOf(columns: Readonly<Record<string, string>>): string {
  return Object.entries(columns)
    .map(([name, sql]) => `${sql} AS ${name}`)
    .join(', ')
}
