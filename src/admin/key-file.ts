import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import type { ClientKind } from '../graphql/auth.js'
import { scopesOf } from '../graphql/auth.js'
import type { ApiKeysService } from './api-key.service.js'

export type KeyFile = Record<ClientKind, string>

const KINDS = Object.keys(scopesOf) as ClientKind[]
const OWNER_ONLY = 0o600

/**
 * One working key per client kind in `file` (mode 0600, written whole or not at all). Keys that work stay; what is lost or does not work is issued
 * anew and its predecessor, known by its name, revoked. The name says where the file is, so that homes which share a database keep apart.
 */
export async function ensureKeys(keys: ApiKeysService, file: string, place = `${hostname()}:${file}`): Promise<KeyFile> {
  const stored = await readKeys(file)
  const current: Partial<KeyFile> = {}
  for (const kind of KINDS) {
    const key = stored[kind]
    current[kind] = (await keys.refreshOwn(kind, key)) ? (key as string) : await keys.issueOwn(kind, nameOf(kind, place))
  }
  const isChanged = KINDS.some(kind => current[kind] !== stored[kind])
  if (isChanged) await writeKeys(file, current as KeyFile)
  else await chmod(file, OWNER_ONLY)
  return current as KeyFile
}

function nameOf(kind: ClientKind, place: string): string {
  return `${kind} key of ${place.slice(-150)}`
}

async function readKeys(file: string): Promise<Record<string, unknown>> {
  try {
    const content: unknown = JSON.parse(await readFile(file, 'utf8'))
    return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

async function writeKeys(file: string, keys: KeyFile): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const draft = `${file}.${process.pid}.part`
  await writeFile(draft, `${JSON.stringify(keys, null, 2)}\n`, { mode: OWNER_ONLY })
  await chmod(draft, OWNER_ONLY)
  await rename(draft, file)
}
