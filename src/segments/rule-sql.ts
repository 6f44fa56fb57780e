import { FEATURE_NAMES, FEATURES } from '../profiles/features.js'
import { isProfileTime, type Operator, PREDICTIONS, type Rule, TRAITS } from './rule.js'

const COMPARISONS: Record<Exclude<Operator, 'IN' | 'EXISTS'>, string> = { EQ: '=', NE: '<>', GT: '>', GTE: '>=', LT: '<', LTE: '<=' }

/** Collects the parameters of one statement; every value of a rule becomes one, so no text of a person is ever SQL. */
export class SqlParams {
  readonly values: unknown[] = []
  constructor(...first: unknown[]) {
    this.values.push(...first)
  }
  add(value: unknown, type: string): string {
    return `$${this.values.push(value)}::${type}`
  }
}

interface Clause {
  /** Boolean over "User" u LEFT JOIN "UserProfile" p, never NULL. */
  sql: string
  /** The value that is compared, for explanations. */
  seen: string
}

/** A rule as a condition over "User" u LEFT JOIN "UserProfile" p; `now` is the parameter that holds the moment of evaluation, `zone` the zone of users without one. */
export function conditionOf(rule: Rule, params: SqlParams, now: string, zone: string): string {
  if (rule.all) return `(${rule.all.map(each => conditionOf(each, params, now, zone)).join(' AND ')})`
  if (rule.any) return `(${rule.any.map(each => conditionOf(each, params, now, zone)).join(' OR ')})`
  if (rule.not) return `NOT ${conditionOf(rule.not, params, now, zone)}`
  return clauseOf(rule, params, now, zone).sql
}

export function clauseOf(rule: Rule, params: SqlParams, now: string, zone: string): Clause {
  if (rule.trait) return traitClause(rule.trait, params, now)
  if (rule.feature) {
    const { name, per, op, value } = rule.feature
    const number = (feature: string) => featureSql(feature, now)
    return compared(per ? `${number(name)} / nullif(${number(per)}, 0)` : number(name), op, value, params)
  }
  if (rule.prediction) {
    const { name, op, value } = rule.prediction
    const column = `p."${PREDICTIONS[name as keyof typeof PREDICTIONS]}"`
    return compared(name === 'lifetimeValue' ? `${column} / 1e6` : column, op, value, params)
  }
  if (rule.did) return didClause(rule.did, params, now, zone)
  if (rule.didThenNot) return didThenNotClause(rule.didThenNot, params, now)
  if (rule.affinity) return affinityClause(rule.affinity, params)
  if (rule.rfm) return { sql: `coalesce(p."rfmGroup" = ANY(${params.add(rule.rfm, 'text[]')}), false)`, seen: 'p."rfmGroup"' }
  if (rule.cluster) return { sql: `coalesce(p."clusterKey" = ${params.add(rule.cluster, 'text')}, false)`, seen: 'p."clusterKey"' }
  if (rule.consent) {
    const granted = `(SELECT c.granted FROM "Consent" c WHERE c."userId" = u.id AND c.purpose = ${params.add(rule.consent, '"Purpose"')})`
    return { sql: `coalesce(${granted}, false)`, seen: granted }
  }
  const member = `EXISTS (SELECT 1 FROM "SegmentMember" s WHERE s."segmentId" = ${params.add(rule.inSegment, 'text')} AND s."userId" = u.id AND s."leftAt" IS NULL)`
  return { sql: member, seen: member }
}

/** The stored number, or for days since something the exact one of this moment; NULL is unknown. */
function featureSql(name: string, now: string): string {
  const index = FEATURE_NAMES.indexOf(name)
  const { since } = FEATURES[index]
  return since ? `(extract(epoch FROM ${now} - p."${since}") / 86400)::float8` : `nullif(p.features[${index + 1}], 'NaN')`
}

function traitClause({ name, op, value, values, daysAgo }: NonNullable<Rule['trait']>, params: SqlParams, now: string): Clause {
  const kind = TRAITS[name as keyof typeof TRAITS] as string | undefined
  if (kind) {
    const type = { text: 'text', number: 'float8', boolean: 'boolean', time: 'timestamptz' }[kind] as string
    const column = `${isProfileTime(name) ? 'p' : 'u'}."${name}"`
    if (daysAgo !== undefined && op !== 'IN' && op !== 'EXISTS') {
      const moment = `${now} - make_interval(secs => 86400 * ${params.add(daysAgo, 'float8')})`
      return { sql: `coalesce(${column} ${COMPARISONS[op]} ${moment}, false)`, seen: column }
    }
    const exact = (each: unknown) => (kind === 'time' ? new Date(String(each)).toISOString() : each)
    if (op === 'IN') return { sql: `coalesce(${column} = ANY(${params.add(values?.map(exact), `${type}[]`)}), false)`, seen: column }
    if (op === 'EXISTS') return { sql: `${column} IS NOT NULL`, seen: column }
    return { sql: `coalesce(${column} ${COMPARISONS[op]} ${params.add(exact(value), type)}, false)`, seen: column }
  }
  const path = `u.traits #> ${params.add(name.split('.').slice(1), 'text[]')}`
  if (op === 'EXISTS') return { sql: `(${path}) IS NOT NULL`, seen: path }
  if (op === 'IN')
    return {
      sql: `coalesce((${path}) = ANY(ARRAY(SELECT jsonb_array_elements(${params.add(JSON.stringify(values), 'jsonb')}))), false)`,
      seen: path,
    }
  const given = params.add(JSON.stringify(value), 'jsonb')
  return { sql: `coalesce(jsonb_typeof(${path}) = jsonb_typeof(${given}) AND (${path}) ${COMPARISONS[op]} ${given}, false)`, seen: path }
}

function compared(expression: string, op: Operator, value: number | undefined, params: SqlParams): Clause {
  if (op === 'EXISTS') return { sql: `(${expression}) IS NOT NULL`, seen: expression }
  return {
    sql: `coalesce((${expression}) ${COMPARISONS[op as keyof typeof COMPARISONS]} ${params.add(value, 'float8')}, false)`,
    seen: expression,
  }
}

type About = Pick<NonNullable<Rule['did']>, 'event' | 'category' | 'brand' | 'productExternalId' | 'minValue'>

function aboutOf({ event, category, brand, productExternalId, minValue }: About, params: SqlParams): string {
  const product = [
    category === undefined ? '' : `${params.add(category, 'text')} = ANY(pr.categories)`,
    brand === undefined ? '' : `pr.brand = ${params.add(brand, 'text')}`,
    productExternalId === undefined ? '' : `pr."externalId" = ${params.add(productExternalId, 'text')}`,
  ].filter(Boolean)
  const conditions =
    product.length > 0 ? [`EXISTS (SELECT 1 FROM "Product" pr WHERE pr.id = e."productId" AND ${product.join(' AND ')})`] : []
  if (event !== undefined) conditions.push(`e.properties->>'event' = ${params.add(event, 'text')}`)
  if (minValue !== undefined)
    conditions.push(`coalesce(e.value, e."priceMicros" * coalesce(e.quantity, 1) / 1e6) >= ${params.add(minValue, 'float8')}`)
  return conditions.map(condition => ` AND ${condition}`).join('')
}

const UNITS = { TODAY: 'day', THIS_WEEK: 'week', THIS_MONTH: 'month' }

function didClause(clause: NonNullable<Rule['did']>, params: SqlParams, now: string, zone: string): Clause {
  const { type, atLeast, atMost, withinDays, period, since, until, fromHour, toHour } = clause
  const local = `coalesce(u."timeZone", ${zone})`
  const conditions = [`e."userId" = u.id AND e.type = ${params.add(type, '"EventType"')} AND e."occurredAt" <= ${now}`]
  if (withinDays !== undefined)
    conditions.push(`e."occurredAt" > ${now} - make_interval(secs => 86400 * ${params.add(withinDays, 'float8')})`)
  if (period) conditions.push(`e."occurredAt" >= date_trunc('${UNITS[period]}', ${now} AT TIME ZONE ${local}) AT TIME ZONE ${local}`)
  if (since !== undefined) conditions.push(`e."occurredAt" >= ${params.add(since, 'timestamptz')}`)
  if (until !== undefined) conditions.push(`e."occurredAt" < ${params.add(until, 'timestamptz')}`)
  if (fromHour !== undefined) conditions.push(`extract(hour FROM e."occurredAt" AT TIME ZONE ${local}) >= ${params.add(fromHour, 'int')}`)
  if (toHour !== undefined) conditions.push(`extract(hour FROM e."occurredAt" AT TIME ZONE ${local}) < ${params.add(toHour, 'int')}`)
  const from = `FROM "Event" e WHERE ${conditions.join(' AND ')}${aboutOf(clause, params)}`
  const count = `(SELECT count(*) ${from})`
  // Counting stops where the answer is known.
  const enough = (limit: string) => `(SELECT count(*) FROM (SELECT 1 ${from} LIMIT ${limit}) few)`
  const parts: string[] = []
  if (atLeast === 1) parts.push(`EXISTS (SELECT 1 ${from})`)
  else if (atLeast !== undefined) {
    const least = params.add(atLeast, 'int')
    parts.push(`${enough(least)} >= ${least}`)
  }
  if (atMost === 0) parts.push(`NOT EXISTS (SELECT 1 ${from})`)
  else if (atMost !== undefined) {
    const most = params.add(atMost, 'int')
    parts.push(`${enough(`${most} + 1`)} <= ${most}`)
  }
  return { sql: `(${parts.join(' AND ')})`, seen: count }
}

function didThenNotClause(clause: NonNullable<Rule['didThenNot']>, params: SqlParams, now: string): Clause {
  const { first, butNot, withinHours, lastDays, sameProduct } = clause
  const hours = `make_interval(secs => 3600 * ${params.add(withinHours, 'float8')})`
  const began = `FROM "Event" e WHERE e."userId" = u.id AND e.type = ${params.add(first, '"EventType"')}
    AND e."occurredAt" > ${now} - make_interval(secs => 86400 * ${params.add(lastDays, 'float8')}) AND e."occurredAt" <= ${now} - ${hours}${aboutOf(clause, params)}`
  const followed = `EXISTS (SELECT 1 FROM "Event" n WHERE n."userId" = u.id AND n.id <> e.id AND n.type = ${params.add(butNot, '"EventType"')} AND n."occurredAt" >= e."occurredAt" AND n."occurredAt" <= e."occurredAt" + ${hours}${sameProduct ? ' AND n."productId" = e."productId"' : ''})`
  const counts = `jsonb_build_object('first', count(*), 'notFollowed', count(*) FILTER (WHERE NOT ${followed}), 'last', max(e."occurredAt"))`
  return { sql: `EXISTS (SELECT 1 ${began} AND NOT ${followed})`, seen: `(SELECT ${counts} ${began})` }
}

function affinityClause({ category, brand, atLeast }: NonNullable<Rule['affinity']>, params: SqlParams): Clause {
  const list = brand === undefined ? 'p.categories' : 'p.brands'
  const name = params.add(brand ?? category ?? '', 'text')
  const weight = `(SELECT sum((l->>1)::float8) FILTER (WHERE l->>0 = ${name}) / nullif(sum((l->>1)::float8), 0) FROM jsonb_array_elements(${list}) AS l)`
  return { sql: `coalesce(${weight} >= ${params.add(atLeast, 'float8')}, false)`, seen: weight }
}
