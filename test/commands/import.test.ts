import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startTestApp, type TestApp } from '../support/app.js'
import { runCommand } from '../support/command.js'

// npm run import as a person types it, in a home whose server listens where it found a free port.
const home = mkdtempSync(join(tmpdir(), 'bellwether import '))
const file = join(home, 'events.csv')
let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await house.startWorker()
  writeFileSync(join(home, 'keys.json'), JSON.stringify(house.keys))
  writeFileSync(join(home, 'url'), `${house.url}\n`)
  writeFileSync(file, 'messageId,userId,type,price,Colour\nm1,ann,VIEW,,red\nm2,ann,VIEW,-4,red\n')
}, 60_000)
afterAll(async () => {
  await house.close()
  rmSync(home, { recursive: true, force: true })
})

const run = (...args: string[]) => runCommand('import', args, { BELLWETHER_HOME: home })

test('finds the server of its home, waits for the job, and leaves the rejected rows beside the file', async () => {
  const { code, out } = await run('events', file)
  expect(out).toMatch(/^1 of 2 rows merged in [\d.]+ s, 0 duplicates, 1 rejected \(job [\w-]+\)$/m)
  expect(out).toMatch(/^Nothing reads "Colour" in it$/m)
  expect(code).toBe(0)
  expect(readFileSync(`${file}.rejects.csv`, 'utf8').split('\n')[1]).toBe('m2,ann,VIEW,-4,red,3,"price must not be negative, it is -4"')
  const again = await run('events', file, '--url', `${house.url}/`)
  expect(again.out).toMatch(/^0 of 2 rows merged .*, 1 duplicates, 1 rejected/m)
}, 60_000)

test.each([
  [['events', home], /^.* is a folder; name one of its files$/m],
  [['events', '/nowhere.csv'], /^There is no file \/nowhere\.csv$/m],
  [['nothing', file], /^The import was refused: There is no kind of import "nothing"; there are users/m],
  [['events', file, '--key', 'wrong'], /^The import was refused: This API key or token is not valid/m],
  [['events', file, '--url', 'http://127.0.0.1:9'], /^Nothing answers at http:\/\/127\.0\.0\.1:9; is the platform running/m],
  [['events'], /^Usage: npm run import/m],
])(
  '%j is one sentence',
  async (args, sentence) => {
    const { code, err } = await run(...args)
    expect(err).toMatch(sentence)
    expect(err).not.toMatch(/^ +at /m)
    expect(code).toBe(1)
  },
  30_000,
)
