import { join, resolve } from 'node:path'
import { z } from 'zod'

/** Where the platform runs and what it may do; read once from the environment, then frozen. */
export type Config = Readonly<z.infer<typeof schema>> & {
  /** No DATABASE_URL is given: the platform runs its own PostgreSQL. */
  readonly embedded: boolean
  /** PORT is given: only that port will do. Otherwise the next free one after the default is taken. */
  readonly portIsFixed: boolean
}

const onOff = z.enum(['on', 'off']).transform(value => value === 'on')
const count = (low: number, high: number) =>
  z.string().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(z.number().min(low).max(high))

/** Every environment variable the platform reads. The table in README.md is checked against `configTable`. */
const variables = {
  PORT: { key: 'port', parse: count(0, 65_535), default: '4000', about: 'HTTP port of the server; 0 takes a free one' },
  HOST: { key: 'host', parse: z.string().min(1), default: '127.0.0.1', about: 'address to listen on; 0.0.0.0 for all' },
  NODE_ENV: {
    key: 'mode',
    parse: z.enum(['development', 'production', 'test']),
    default: 'development',
    about: 'production switches introspection, explorer and demo off',
  },
  DATABASE_URL: {
    key: 'databaseUrl',
    parse: z.string().optional(),
    default: undefined,
    about: 'any PostgreSQL ≥ 14; without it an embedded one runs under BELLWETHER_HOME',
  },
  REDIS_URL: {
    key: 'redisUrl',
    parse: z.string().optional(),
    default: undefined,
    about: 'Redis for queues, limits and invalidation; without it PostgreSQL serves',
  },
  BELLWETHER_HOME: {
    key: 'home',
    parse: z.string().min(1),
    default: '.bellwether',
    about: 'folder of the embedded database, keys and logs',
  },
  BELLWETHER_DEMO: { key: 'demo', parse: onOff, default: 'on', about: 'off starts an empty shop (always off in production)' },
  BELLWETHER_INTROSPECTION: {
    key: 'introspection',
    parse: onOff,
    default: 'on',
    about: 'schema introspection and the explorer (default off in production)',
  },
  BELLWETHER_AUTO_APPROVE: {
    key: 'autoApprove',
    parse: onOff,
    default: 'off',
    about: 'on lets a model that passes its guardrails go live without a person',
  },
  BELLWETHER_UNKNOWN_REFERENCES: {
    key: 'unknownReferences',
    parse: z.enum(['stub', 'reject']),
    default: 'stub',
    about: 'what an event with an unknown user or product does',
  },
  BELLWETHER_CURRENCY: {
    key: 'currency',
    parse: z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code'),
    default: 'EUR',
    about: 'currency of the account',
  },
  BELLWETHER_TIME_ZONE: {
    key: 'timeZone',
    parse: z.string().refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin'),
    default: 'UTC',
    about: 'time zone of the account, whose midnight ends the day of a daily budget, and of users without one of their own',
  },
  BELLWETHER_SEED: { key: 'seed', parse: count(0, 2 ** 31 - 1), default: '20251124', about: 'seed of the demo shop and of training' },
  BELLWETHER_LOG_LEVEL: {
    key: 'logLevel',
    parse: z.enum(['debug', 'info', 'warn', 'error', 'silent']),
    default: 'info',
    about: 'lowest level that is logged',
  },
  BELLWETHER_THREADS: { key: 'threads', parse: count(1, 256), default: '2', about: 'worker threads for training and scoring' },
  BELLWETHER_SERVERS: {
    key: 'servers',
    parse: count(1, 256),
    default: '1',
    about: 'server processes of this machine that share PORT, one for each core that nothing else needs',
  },
  BELLWETHER_RATE_LIMIT: {
    key: 'rateLimitPerMinute',
    parse: count(1, 100_000_000),
    default: '600000',
    about: 'requests a key may send a minute, over all doors',
  },
  BELLWETHER_RETRAIN_SHARE: {
    key: 'retrainShare',
    parse: z
      .string()
      .regex(/^\d*\.?\d+$/, 'must be a share above 0, such as 0.1')
      .transform(Number)
      .pipe(z.number().gt(0).max(100)),
    default: '0.1',
    about: 'new events, as a share of what the serving recommender was taught on, after which it is taught again',
  },
  BELLWETHER_FAQ_MAX_ERROR: {
    key: 'faqMaxError',
    parse: z
      .string()
      .regex(/^0?\.\d+$/, 'must be a share between 0 and 1, such as 0.05')
      .transform(Number)
      .pipe(z.number().gt(0).lt(1)),
    default: '0.05',
    about: 'share of wrong answers among the given ones that the FAQ may make; less makes it silent more often',
  },
  BELLWETHER_ALERT_WEBHOOK: {
    key: 'alertWebhook',
    parse: z.url({ protocol: /^https?$/ }).optional(),
    default: undefined,
    about: 'where a confirmed opinion alert is posted, signed',
  },
  BELLWETHER_WEBHOOK_SECRET: {
    key: 'webhookSecret',
    parse: z.string().min(16, 'must have at least 16 characters').optional(),
    default: undefined,
    about: 'secret of signed webhooks, out (alerts, exports) and in (POST /v1/posts); without it all are off',
  },
  BELLWETHER_WEBHOOK_PRIVATE: {
    key: 'webhookPrivate',
    parse: onOff,
    default: 'off',
    about: 'on lets audiences be exported to webhooks at private addresses and without TLS',
  },
  BELLWETHER_OIDC_ISSUER: {
    key: 'oidcIssuer',
    parse: z.url({ protocol: /^https?$/ }).optional(),
    default: undefined,
    about: 'issuer of accepted JWTs',
  },
  BELLWETHER_OIDC_AUDIENCE: {
    key: 'oidcAudience',
    parse: z.string().optional(),
    default: undefined,
    about: 'audience that JWTs must carry',
  },
  BELLWETHER_OIDC_JWKS_URL: {
    key: 'oidcJwksUrl',
    parse: z.url({ protocol: /^https?$/ }).optional(),
    default: undefined,
    about: 'keys of the issuer; default: its discovery document',
  },
} as const

const schema = z.object({
  port: variables.PORT.parse,
  host: variables.HOST.parse,
  mode: variables.NODE_ENV.parse,
  databaseUrl: variables.DATABASE_URL.parse,
  redisUrl: variables.REDIS_URL.parse,
  home: variables.BELLWETHER_HOME.parse,
  demo: variables.BELLWETHER_DEMO.parse,
  introspection: variables.BELLWETHER_INTROSPECTION.parse,
  autoApprove: variables.BELLWETHER_AUTO_APPROVE.parse,
  unknownReferences: variables.BELLWETHER_UNKNOWN_REFERENCES.parse,
  currency: variables.BELLWETHER_CURRENCY.parse,
  timeZone: variables.BELLWETHER_TIME_ZONE.parse,
  seed: variables.BELLWETHER_SEED.parse,
  logLevel: variables.BELLWETHER_LOG_LEVEL.parse,
  threads: variables.BELLWETHER_THREADS.parse,
  servers: variables.BELLWETHER_SERVERS.parse,
  rateLimitPerMinute: variables.BELLWETHER_RATE_LIMIT.parse,
  retrainShare: variables.BELLWETHER_RETRAIN_SHARE.parse,
  faqMaxError: variables.BELLWETHER_FAQ_MAX_ERROR.parse,
  alertWebhook: variables.BELLWETHER_ALERT_WEBHOOK.parse,
  webhookSecret: variables.BELLWETHER_WEBHOOK_SECRET.parse,
  webhookPrivate: variables.BELLWETHER_WEBHOOK_PRIVATE.parse,
  oidcIssuer: variables.BELLWETHER_OIDC_ISSUER.parse,
  oidcAudience: variables.BELLWETHER_OIDC_AUDIENCE.parse,
  oidcJwksUrl: variables.BELLWETHER_OIDC_JWKS_URL.parse,
})

/** Raised with every fault of the environment at once, one sentence a variable. */
export class ConfigError extends Error {
  constructor(readonly faults: string[]) {
    super(faults.join('\n'))
  }
}

/** Not settings of the platform, but of its benchmarks and tests. */
const OF_THE_WORKSHOP = new Set(['BELLWETHER_BENCH_PYTHON', 'BELLWETHER_CHROMIUM'])

/** Parses the environment. Unknown BELLWETHER_* keys are faults, because a misspelt one would be silently off. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const production = env.NODE_ENV === 'production'
  const values: Record<string, unknown> = {}
  const faults: string[] = []
  for (const [name, variable] of Object.entries(variables)) {
    const fallback = production && (name === 'BELLWETHER_DEMO' || name === 'BELLWETHER_INTROSPECTION') ? 'off' : variable.default
    const given = env[name] === '' ? undefined : env[name]
    const result = variable.parse.safeParse(given ?? fallback)
    if (result.success) values[variable.key] = result.data
    else faults.push(`${name} ${result.error.issues.map(issue => issue.message).join('; ')} (it is ${JSON.stringify(given)})`)
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith('BELLWETHER_') && !(name in variables) && !OF_THE_WORKSHOP.has(name))
      faults.push(`${name} is not a setting of Bellwether; is it misspelt?`)
  }
  faults.push(...urlFaults('DATABASE_URL', env.DATABASE_URL, ['postgres:', 'postgresql:']))
  faults.push(...urlFaults('REDIS_URL', env.REDIS_URL, ['redis:', 'rediss:', 'redis+cluster:', 'redis+sentinel:']))
  if (values.oidcIssuer && !values.oidcAudience) faults.push('BELLWETHER_OIDC_AUDIENCE is needed when BELLWETHER_OIDC_ISSUER is set')
  if (values.alertWebhook && !values.webhookSecret) faults.push('BELLWETHER_WEBHOOK_SECRET is needed when BELLWETHER_ALERT_WEBHOOK is set')
  if (faults.length > 0) throw new ConfigError(faults)
  const config = values as z.infer<typeof schema>
  return Object.freeze({
    ...config,
    demo: config.demo && !production,
    home: resolve(config.home),
    embedded: !config.databaseUrl,
    portIsFixed: Boolean(env.PORT),
  })
}

/** Rows of the configuration table of the README: name, default, meaning. */
export const configTable = Object.entries(variables).map(([name, { default: fallback, about }]) => ({
  name,
  default: fallback ?? '',
  about,
}))

export const keysFile = (config: Pick<Config, 'home'>) => join(config.home, 'keys.json')
/** Where the commands of this home find the server, which may have taken another port than the default. */
export const urlFile = (config: Pick<Config, 'home'>) => join(config.home, 'url')

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

/** Protocols whose URL may list several hosts with commas between them, which is no URL to the standard. */
const OF_HOSTS = new Set(['redis+cluster:', 'redis+sentinel:'])

function urlFaults(name: string, value: string | undefined, protocols: string[]): string[] {
  if (!value) return []
  const [, protocol, head, hosts, rest] = /^([a-z+]+:)(\/\/(?:[^@/]*@)?)([^/?#]*)(.*)$/s.exec(value) ?? []
  if (!protocols.includes(protocol)) return [`${name} must be a URL that starts with ${protocols.map(p => `${p}//`).join(' or ')}`]
  const urls = OF_HOSTS.has(protocol) ? hosts.split(',').map(host => `${protocol}${head}${host}${rest}`) : [value]
  return urls.every(url => URL.canParse(url))
    ? []
    : [`${name} is no URL that can be read; ports are at most 65535, and signs such as # / @ in a password are written %23 %2F %40`]
}
