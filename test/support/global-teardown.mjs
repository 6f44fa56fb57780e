import { rmSync } from 'node:fs'

export default async function tearDown() {
  const { postgres, home } = globalThis.__bellwetherTestPostgres
  await postgres.stop()
  rmSync(home, { recursive: true, force: true })
}
