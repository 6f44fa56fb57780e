import { spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { startTestApp, type TestApp } from '../support/app.js'
import { imported, upload } from '../support/imports.js'

// A small file system of its own stands for a full disk; only root may mount one.
const folder = mkdtempSync(join(tmpdir(), 'bellwether-full-'))
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=755', 'tmpfs', folder]).status === 0
if (!isMounted) process.stderr.write('\nSKIPPED: this account may not mount a file system, so a full disk is not tested\n')

let house: TestApp
const space = `full_${process.pid}`
beforeAll(async () => {
  if (!isMounted) return
  house = await startTestApp()
  const [{ data_directory: data }] = await house.app.database.sql<{ data_directory: string }>('SHOW data_directory')
  const { uid, gid } = statSync(data)
  mkdirSync(join(folder, 'space'))
  chownSync(join(folder, 'space'), uid, gid)
  await house.app.database.sql(`CREATE TABLESPACE ${space} LOCATION '${join(folder, 'space')}'`)
  for (const table of ['ImportChunk', 'Event']) await house.app.database.sql(`ALTER TABLE "${table}" SET TABLESPACE ${space}`)
}, 120_000)
afterAll(async () => {
  if (!isMounted) return void rmSync(folder, { recursive: true, force: true })
  const { url } = house.app.database
  for (const table of ['ImportChunk', 'Event']) await house.app.database.sql(`ALTER TABLE "${table}" SET TABLESPACE pg_default`)
  await house.close()
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`DROP TABLESPACE ${space}`)
  await client.end()
  spawnSync('umount', [folder])
  rmSync(folder, { recursive: true, force: true })
}, 120_000)

const onFullDisk = isMounted ? describe : describe.skip

onFullDisk('a disk that is full', () => {
  test('refuses an upload with one clear sentence, keeps nothing of it, and takes the next one that fits', async () => {
    // Random words, which no compression makes small. They are there before they are sent: who is refused and goes on sending for seconds is cut off.
    const words = () => Buffer.from(`${Array.from({ length: 25_000 }, () => Math.random().toString(36).slice(2)).join('\n')}\n`)
    const parts = [Buffer.from('userId,type\n'), ...Array.from({ length: 120 }, words)]
    async function* large() {
      yield* parts
    }
    const answer = await upload(house, 'events', large())
    expect(answer).toMatchObject({
      status: 503,
      body: { error: expect.stringContaining('no space left on its disk; nothing of this was stored'), code: 'UNAVAILABLE' },
    })
    expect(await house.app.database.sql('SELECT 1 FROM "Import"')).toEqual([])
    // Somebody makes room.
    spawnSync('mount', ['-o', 'remount,size=24m', folder])
    await house.startWorker()
    expect(await imported(house, 'events', 'userId,type\nsmall,VIEW\n')).toMatchObject({ rowsMerged: 1 })
  }, 120_000)

  test('fails eventsTrack as unavailable; what was acknowledged is there, and nothing of what was not', async () => {
    const filler = 'x'.repeat(700)
    const count = async () => (await house.app.database.sql<{ n: number }>('SELECT count(*)::int AS n FROM "Event"'))[0].n
    let acknowledged = await count()
    for (let call = 0; ; call++) {
      const events = Array.from({ length: 200 }, (_, row) => ({
        messageId: `full-${call}-${row}`,
        userId: 'full',
        type: 'VIEW',
        properties: { filler },
      }))
      const { data, errors } = await house
        .as('ingest')
        .run('mutation($events: [EventInput!]!) { eventsTrack(input: { events: $events }) { accepted userErrors { code message } } }', {
          events,
        })
      if (data?.eventsTrack && (data.eventsTrack as { accepted: number }).accepted === 200) {
        acknowledged += 200
        continue
      }
      expect(errors?.[0]).toMatchObject({ message: expect.stringContaining('no space left'), extensions: { code: 'UNAVAILABLE' } })
      break
    }
    expect(await count()).toBe(acknowledged)
  }, 120_000)
})
