import { rmSync } from 'node:fs'

export default async function tearDown() {
  const { postgres, home } = globalThis.__bellwetherTestPostgres
  await postgres.stop()
  for (const folder of [home, postgres.dataDir]) rmSync(folder, { recursive: true, force: true })
}
