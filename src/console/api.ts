import type { TypedDocumentNode } from '@graphql-typed-document-node/core'
import { print } from 'graphql'
import { createClient } from 'graphql-ws'

const STORE = 'bellwether.key'

export function storedKey(): string | null {
  return sessionStorage.getItem(STORE)
}

export function keepKey(key: string | null) {
  if (key) sessionStorage.setItem(STORE, key)
  else sessionStorage.removeItem(STORE)
}

/** What the server refused, in its own words. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message)
  }
}

/** Runs one operation of documents.graphql. */
export async function run<Data, Variables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Data> {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${storedKey()}` },
    body: JSON.stringify({ query: print(document), variables }),
    signal,
  }).catch(error => {
    if (signal?.aborted) throw error
    throw new ApiError('The server does not answer', 'UNAVAILABLE')
  })
  const { data, errors } = (await response.json()) as { data?: Data; errors?: { message: string; extensions?: { code?: string } }[] }
  if (errors?.length) throw new ApiError(errors[0].message, errors[0].extensions?.code ?? 'ERROR')
  return data as Data
}

/** Follows a subscription until it ends or is left. */
export function follow<Data, Variables extends Record<string, unknown>>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  each: (data: Data) => void,
): () => void {
  const client = createClient({
    url: `${location.origin.replace(/^http/, 'ws')}/graphql`,
    connectionParams: { authorization: `Bearer ${storedKey()}` },
  })
  const leave = client.subscribe<Data>(
    { query: print(document), variables },
    { next: ({ data }) => data && each(data), error: () => {}, complete: () => {} },
  )
  return () => {
    leave()
    void client.dispose()
  }
}
