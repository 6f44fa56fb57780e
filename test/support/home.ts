import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A BELLWETHER_HOME of the caller's own. As root the lent account must get in: the data would be kept elsewhere otherwise, and stay there. */
export function temporaryHome(name: string): string {
  const home = mkdtempSync(join(tmpdir(), `bellwether-${name}-`))
  chmodSync(home, 0o755)
  return home
}
