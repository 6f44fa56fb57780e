import { Forbidden, RateLimited, Unauthenticated } from '../platform/errors.js'

/** What a key or token may do; stated in the description of every field that needs it. */
export enum Scope {
  USERS_READ = 'users:read',
  USERS_WRITE = 'users:write',
  PII_READ = 'pii:read',
  CATALOGUE_READ = 'catalogue:read',
  CATALOGUE_WRITE = 'catalogue:write',
  EVENTS_WRITE = 'events:write',
  RECOMMENDATIONS_READ = 'recommendations:read',
  RECOMMENDATIONS_WRITE = 'recommendations:write',
  MODELS_READ = 'models:read',
  MODELS_TRAIN = 'models:train',
  MODELS_REVIEW = 'models:review',
  JOBS_READ = 'jobs:read',
  JOBS_WRITE = 'jobs:write',
  DECISIONS_READ = 'decisions:read',
  SYSTEM_READ = 'system:read',
  KEYS_MANAGE = 'keys:manage',
  IMPORTS_WRITE = 'imports:write',
  SEGMENTS_READ = 'segments:read',
  SEGMENTS_WRITE = 'segments:write',
  CAMPAIGNS_READ = 'campaigns:read',
  CAMPAIGNS_WRITE = 'campaigns:write',
  BIDS_WRITE = 'bids:write',
  REVIEWS_READ = 'reviews:read',
  REVIEWS_WRITE = 'reviews:write',
  FAQ_ANSWER = 'faq:answer',
  FAQ_WRITE = 'faq:write',
  PRIVACY_MANAGE = 'privacy:manage',
}

export type ClientKind = 'admin' | 'marketer' | 'campaign' | 'chatbot' | 'ingest'

const MARKETER = Object.values(Scope).filter(scope => ![Scope.KEYS_MANAGE, Scope.PII_READ, Scope.PRIVACY_MANAGE].includes(scope))

/** Scopes a new key of each client kind gets. */
export const scopesOf: Record<ClientKind, readonly Scope[]> = {
  admin: Object.values(Scope),
  marketer: MARKETER,
  campaign: [
    Scope.CATALOGUE_READ,
    Scope.RECOMMENDATIONS_READ,
    Scope.CAMPAIGNS_READ,
    Scope.CAMPAIGNS_WRITE,
    Scope.BIDS_WRITE,
    Scope.SEGMENTS_READ,
    Scope.DECISIONS_READ,
    Scope.JOBS_READ,
  ],
  chatbot: [Scope.FAQ_ANSWER],
  ingest: [Scope.EVENTS_WRITE, Scope.USERS_WRITE, Scope.CATALOGUE_WRITE, Scope.IMPORTS_WRITE, Scope.REVIEWS_WRITE, Scope.JOBS_READ],
}

/** Who is calling. `id` is stable (key id or token subject) and names reviewers, job creators and idempotency principals. */
export interface Viewer {
  readonly id: string
  readonly name: string
  readonly scopes: ReadonlySet<Scope>
  /** Milliseconds since the epoch after which the credential no longer holds. */
  readonly expiresAt?: number
}

/** Turns an Authorization header into a viewer; throws `Unauthenticated` with a sentence. No header gives undefined. */
export interface Authenticator {
  authenticate(authorization: string | undefined): Promise<Viewer | undefined>
}

export function requireScope(viewer: Viewer | undefined, scope: Scope): Viewer {
  if (!viewer) throw new Unauthenticated('This needs an API key or token: send it as Authorization: Bearer <key>')
  if (!viewer.scopes.has(scope)) throw new Forbidden(`This key lacks the scope ${scope}`, { scope })
  return viewer
}

/** The same authenticator, with every call counted against the caller's rate; throws `RateLimited` beyond it. */
export function limitedBy(limiter: { take(key: string): number | Promise<number> }, authenticator: Authenticator): Authenticator {
  return {
    authenticate: async authorization => {
      const viewer = await authenticator.authenticate(authorization)
      const wait = viewer ? await limiter.take(viewer.id) : 0
      if (wait > 0) throw new RateLimited(`Too many requests; try again in ${wait} s`, { retryAfterSeconds: wait })
      return viewer
    },
  }
}
