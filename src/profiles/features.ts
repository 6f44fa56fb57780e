/** One number that is known of every user, in plain words; models, clusters and segment rules call it by `name`. */
export interface Feature {
  name: string
  en: string
  zh: string
  unit: 'days' | 'count' | 'money' | 'share' | 'level' | 'stars' | 'years'
  /** Aggregate over the user's events before the moment `as_of` (the rows of `valued` in `featuresSql`); NULL is unknown. */
  sql: string
  /** Exact at any moment from a stored time: days since that column of "UserProfile". */
  since?: 'lastOrderAt' | 'firstEventAt' | 'firstOrderAt' | 'lastEventAt'
}

const AGE = (moment: string) => `extract(epoch FROM as_of - ${moment}) / 86400`
const COUNT = (condition: string) => `count(*) FILTER (WHERE fresh AND ${condition})`
const WITHIN = (days: number) => `at >= as_of - interval '${days} days'`
const BETWEEN = (from: number, to: number) => `${WITHIN(to)} AND NOT ${WITHIN(from)}`
const DAYS_WITH = (condition: string) => `count(DISTINCT day) FILTER (WHERE ${condition})`
const SHARE = (part: string, whole: string) => `${COUNT(part)}::float8 / nullif(${COUNT(whole)}, 0)`
const ORDER = `type = 'PURCHASE'`
const ORDER_DAYS = DAYS_WITH(ORDER)

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
    sql: AGE(`max(at) FILTER (WHERE ${ORDER})`),
    since: 'lastOrderAt',
  },
  { name: 'orderDays', en: 'days with an order', zh: '下单天数', unit: 'count', sql: ORDER_DAYS },
  { name: 'monetary', en: 'money spent, net of refunds', zh: '净消费金额', unit: 'money', sql: 'coalesce(sum(amount), 0) / 1e6' },
  {
    name: 'tenureDays',
    en: 'days since the first event',
    zh: '首次到访至今天数',
    unit: 'days',
    sql: AGE('min(at)'),
    since: 'firstEventAt',
  },
  {
    name: 'firstOrderDays',
    en: 'days since the first order',
    zh: '首次下单至今天数',
    unit: 'days',
    sql: AGE(`min(at) FILTER (WHERE ${ORDER})`),
    since: 'firstOrderAt',
  },
  { name: 'silentDays', en: 'days since the last event', zh: '沉默天数', unit: 'days', sql: AGE('max(at)'), since: 'lastEventAt' },
  {
    name: 'averageOrderValue',
    en: 'money per day with an order',
    zh: '平均客单价',
    unit: 'money',
    sql: `(sum(amount) FILTER (WHERE ${ORDER})) / 1e6 / nullif(${ORDER_DAYS}, 0)`,
  },
  {
    name: 'orderGapDays',
    en: 'days between orders, on average',
    zh: '平均下单间隔',
    unit: 'days',
    sql: `extract(epoch FROM max(at) FILTER (WHERE ${ORDER}) - min(at) FILTER (WHERE ${ORDER})) / 86400 / nullif(${ORDER_DAYS} - 1, 0)`,
  },
  { name: 'events7', en: 'events of the last 7 days', zh: '近7天行为数', unit: 'count', sql: COUNT(WITHIN(7)) },
  { name: 'events30', en: 'events of the last 30 days', zh: '近30天行为数', unit: 'count', sql: COUNT(WITHIN(30)) },
  { name: 'events31to90', en: 'events 31 to 90 days ago', zh: '31–90天前行为数', unit: 'count', sql: COUNT(BETWEEN(30, 90)) },
  {
    name: 'views30',
    en: 'product views of the last 30 days',
    zh: '近30天浏览数',
    unit: 'count',
    sql: COUNT(`type = 'VIEW' AND ${WITHIN(30)}`),
  },
  {
    name: 'carts30',
    en: 'products put into the cart in the last 30 days',
    zh: '近30天加购数',
    unit: 'count',
    sql: COUNT(`type = 'ADD_TO_CART' AND ${WITHIN(30)}`),
  },
  {
    name: 'orders30',
    en: 'days with an order in the last 30 days',
    zh: '近30天下单天数',
    unit: 'count',
    sql: DAYS_WITH(`${ORDER} AND ${WITHIN(30)}`),
  },
  {
    name: 'orders90',
    en: 'days with an order in the last 90 days',
    zh: '近90天下单天数',
    unit: 'count',
    sql: DAYS_WITH(`${ORDER} AND ${WITHIN(90)}`),
  },
  { name: 'activeDays30', en: 'active days of the last 30', zh: '近30天活跃天数', unit: 'count', sql: DAYS_WITH(WITHIN(30)) },
  { name: 'activeDays90', en: 'active days of the last 90', zh: '近90天活跃天数', unit: 'count', sql: DAYS_WITH(WITHIN(90)) },
  {
    name: 'activeDays91to365',
    en: 'active days 91 to 365 days ago',
    zh: '91–365天前活跃天数',
    unit: 'count',
    sql: DAYS_WITH(BETWEEN(90, 365)),
  },
  {
    name: 'activityTrend',
    en: 'activity of the last 90 days against the time before (0: unchanged)',
    zh: '近90天活跃度相对此前的变化（0为不变）',
    unit: 'level',
    sql: `CASE WHEN min(at) < as_of - interval '120 days' THEN ln((${DAYS_WITH(WITHIN(90))} + 1) / (90.0 * ${DAYS_WITH(BETWEEN(90, 365))} / (least(365, ${AGE('min(at)')}) - 90) + 1)) END`,
  },
  {
    name: 'priceLevel',
    en: 'price paid, against the usual of its category',
    zh: '价格偏好',
    unit: 'level',
    sql: "exp(avg(price_ratio) FILTER (WHERE fresh AND type IN ('PURCHASE', 'ADD_TO_CART')))",
  },
  {
    name: 'discountShare',
    en: 'share of purchases below the list price',
    zh: '折扣购买占比',
    unit: 'share',
    sql: SHARE(`${ORDER} AND discounted`, ORDER),
  },
  { name: 'returnRate', en: 'refunds per purchase', zh: '退货率', unit: 'share', sql: SHARE("type = 'REFUND'", ORDER) },
  {
    name: 'cartRate',
    en: 'share of product views that went into the cart',
    zh: '加购率',
    unit: 'share',
    sql: SHARE("type = 'ADD_TO_CART'", "type IN ('VIEW', 'ADD_TO_CART')"),
  },
  {
    name: 'eveningShare',
    en: 'share of events from 18 to 24 o’clock',
    zh: '晚间行为占比',
    unit: 'share',
    sql: SHARE('hour >= 18', 'true'),
  },
  {
    name: 'mobileShare',
    en: 'share of events on a phone',
    zh: '移动端占比',
    unit: 'share',
    sql: SHARE("channel = 'mobile'", 'channel IS NOT NULL'),
  },
  {
    name: 'ratingMean',
    en: 'stars given, on average',
    zh: '平均评分',
    unit: 'stars',
    sql: "avg(value) FILTER (WHERE fresh AND type = 'RATING')",
  },
  { name: 'productsSeen', en: 'different products', zh: '涉及商品数', unit: 'count', sql: 'count(DISTINCT product)' },
  { name: 'ageYears', en: 'years of age', zh: '年龄', unit: 'years', sql: `extract(year FROM as_of) - min(born)` },
  {
    name: 'reviewSentiment',
    en: 'mood of the reviews written (−1 bad to 1 good)',
    zh: '评论情感（−1差至1好）',
    unit: 'level',
    sql: 'min(mood)',
  },
]

export const FEATURE_VERSION = 1
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
 * users without one, $5 the features of somebody without events. Pre-processing, each counted in `leftOut`: identical events of one millisecond are one;
 * amounts beyond $3 are cut; amounts of another currency do not count as money; events from the future do not count yet; of more than 20,000 events the
 * newest count. Days and hours are those of the user's own time zone.
 */
export function featuresSql(scope: string): string {
  return `
  WITH who AS (SELECT u.id, coalesce(u."timeZone", $4::text) AS zone, u."birthYear" AS born FROM "User" u WHERE ${MAY_BE_PROFILED} AND ${scope}),
  usual AS MATERIALIZED (SELECT categories[1] AS category, avg(ln("priceMicros")) AS level FROM "Product" WHERE "priceMicros" > 0 GROUP BY 1),
  e AS (
    SELECT who.id AS "userId", r."occurredAt" AS at, $1::timestamptz AS as_of, who.born, r.type::text AS type, r.value, r."productId" AS product,
      p.categories[1] AS category, p.brand,
      (r."occurredAt" AT TIME ZONE who.zone)::date AS day,
      extract(hour FROM r."occurredAt" AT TIME ZONE who.zone)::int AS hour,
      coalesce(r.properties->>'channel', r.properties->>'device') AS channel,
      row_number() OVER (PARTITION BY who.id, r.type, r."productId", r."occurredAt", r.quantity, r."priceMicros", r.value ORDER BY r.id) = 1 AS fresh,
      r."priceMicros" * coalesce(r.quantity, 1)::float8 AS line,
      coalesce(r."currencyCode", $2::text) = $2::text AS own_currency,
      r."priceMicros" < 0.98 * p."priceMicros" AND r."currencyCode" = p."currencyCode" AS discounted,
      CASE WHEN r."priceMicros" > 0 AND r."currencyCode" = p."currencyCode" THEN ln(r."priceMicros") - usual.level END AS price_ratio
    FROM who CROSS JOIN LATERAL (SELECT * FROM "Event" x WHERE x."userId" = who.id AND x."occurredAt" < $1::timestamptz ORDER BY x."occurredAt" DESC LIMIT ${NEWEST_EVENTS}) r
      LEFT JOIN "Product" p ON p.id = r."productId" LEFT JOIN usual ON usual.category = p.categories[1]),
  reviewed AS (SELECT r."userId", avg(CASE r.sentiment WHEN 'POSITIVE' THEN 1 WHEN 'NEGATIVE' THEN -1 ELSE 0 END)::float8 AS mood FROM "Review" r JOIN who ON who.id = r."userId"
    WHERE r.sentiment IS NOT NULL AND r.sentiment <> 'UNDECIDED' AND r."createdAt" < $1::timestamptz GROUP BY 1),
  valued AS (SELECT e.*, reviewed.mood,
      CASE WHEN NOT fresh OR NOT own_currency OR line IS NULL THEN NULL WHEN type = 'PURCHASE' THEN least(line, $3::float8) WHEN type = 'REFUND' THEN -least(abs(line), $3::float8) END AS amount
    FROM e LEFT JOIN reviewed USING ("userId")),
  main AS (
    SELECT "userId", min(at) AS "firstEventAt", max(at) AS "lastEventAt",
      min(at) FILTER (WHERE ${ORDER}) AS "firstOrderAt", max(at) FILTER (WHERE ${ORDER}) AS "lastOrderAt",
      ${ORDER_DAYS}::int AS "orderDays", coalesce(sum(amount), 0)::int8 AS "monetaryMicros",
      ARRAY[${FEATURES.map(({ sql }) => `coalesce((${sql})::float8, 'NaN')`).join(',\n        ')}] AS features,
      jsonb_strip_nulls(jsonb_build_object('repeatedInOneMillisecond', nullif(count(*) FILTER (WHERE NOT fresh), 0),
        'amountsCutToTheOutlierLimit', nullif(count(*) FILTER (WHERE fresh AND own_currency AND abs(line) > $3::float8 AND type IN ('PURCHASE', 'REFUND')), 0),
        'otherCurrencies', nullif(count(*) FILTER (WHERE NOT own_currency AND type IN ('PURCHASE', 'REFUND')), 0),
        'ordersWithoutPrice', nullif(count(*) FILTER (WHERE line IS NULL AND ${ORDER}), 0))) AS left_out
    FROM valued GROUP BY 1, as_of),
  pace AS (SELECT "userId", max(n) AS most, max(of_day) AS "mostOfDay" FROM (
      SELECT "userId", count(*) AS n, sum(count(*)) OVER (PARTITION BY "userId", day) AS of_day FROM valued GROUP BY "userId", day, date_trunc('hour', at)) m GROUP BY 1),
  liking AS (
    SELECT "userId", kind, name, sum(weight) AS weight FROM (
      SELECT "userId", kind, name, (${LIKING}) * exp(-ln(2) * extract(epoch FROM as_of - at) / 86400 / ${HALF_LIFE_DAYS}) AS weight
      FROM valued CROSS JOIN LATERAL (VALUES ('category', category), ('brand', brand)) AS named(kind, name) WHERE name IS NOT NULL AND fresh) w
    WHERE weight > 0 GROUP BY 1, 2, 3),
  likings AS (
    SELECT "userId", coalesce(jsonb_agg(jsonb_build_array(name, round(weight::numeric, 6)) ORDER BY weight DESC, name) FILTER (WHERE kind = 'category'), '[]') AS categories,
      coalesce(jsonb_agg(jsonb_build_array(name, round(weight::numeric, 6)) ORDER BY weight DESC, name) FILTER (WHERE kind = 'brand'), '[]') AS brands
    FROM liking GROUP BY 1),
  habits AS (
    SELECT "userId", jsonb_object_agg(channel, n) FILTER (WHERE channel IS NOT NULL) AS channels FROM (SELECT "userId", channel, count(*) AS n FROM valued GROUP BY 1, 2) c GROUP BY 1),
  clock AS (SELECT "userId", array_agg(n ORDER BY hour) AS counts, array_agg(hour ORDER BY hour) AS "at" FROM (SELECT "userId", hour, count(*)::int AS n FROM valued GROUP BY 1, 2) c GROUP BY 1),
  seen AS (SELECT who.id AS "userId", n.* FROM who CROSS JOIN LATERAL (
    SELECT count(*)::int AS count, max(x.id) AS last, count(*) FILTER (WHERE x."occurredAt" >= $1::timestamptz)::int AS future FROM "Event" x WHERE x."userId" = who.id) n)
  SELECT seen."userId", seen.count AS "eventCount", coalesce(seen.last, 0) AS "lastEventId",
    main."firstEventAt", main."lastEventAt", main."firstOrderAt", main."lastOrderAt", coalesce(main."orderDays", 0) AS "orderDays", coalesce(main."monetaryMicros", 0) AS "monetaryMicros",
    coalesce(main.features, $5::float8[]) AS features, coalesce(likings.categories, '[]') AS categories, coalesce(likings.brands, '[]') AS brands,
    coalesce(habits.channels, '{}') AS channels,
    (SELECT array_agg(coalesce(clock.counts[array_position(clock."at", h)], 0) ORDER BY h) FROM generate_series(0, 23) AS h) AS hours,
    coalesce(pace.most > ${BOT_PER_HOUR} OR pace."mostOfDay" > ${BOT_PER_DAY}, false) AS "isBot",
    coalesce(main.left_out, '{}') || CASE WHEN seen.future > 0 THEN jsonb_build_object('fromTheFuture', seen.future) ELSE '{}' END
      || CASE WHEN seen.count - seen.future > ${NEWEST_EVENTS} THEN jsonb_build_object('olderThanTheNewest20000', seen.count - seen.future - ${NEWEST_EVENTS}) ELSE '{}' END AS "leftOut"
  FROM seen LEFT JOIN main USING ("userId") LEFT JOIN pace USING ("userId") LEFT JOIN likings USING ("userId") LEFT JOIN habits USING ("userId") LEFT JOIN clock USING ("userId")`
}
