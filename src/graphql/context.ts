import type { Viewer } from './auth.js'

/** What every resolver may use of the request. Loaders are created on first use and live as long as the request. */
export interface Context {
  readonly viewer?: Viewer
  readonly requestId: string
  /** The instance of a resolver class in this app. */
  resolver(type: abstract new (...args: never[]) => unknown): unknown
  /** The request's one loader of this name. */
  loader<T>(name: string, create: () => T): T
}
