// The whole platform as a worker in a process of its own, to be killed by tests: node dist/test/support/house-worker.js <database url> <settings as JSON>
import { startWorker } from '../../jobs/worker.js'
import { createApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { silentLog as log } from '../../src/platform/log.js'

const [databaseUrl, settings] = process.argv.slice(2)
const config = { ...readConfig({ BELLWETHER_DEMO: 'off', BELLWETHER_LOG_LEVEL: 'silent' }), ...JSON.parse(settings) }
const app = await createApp({ config, databaseUrl, log, role: 'worker' })
await app.liveModels.start()
await startWorker(app)
process.send?.('ready')
process.once('disconnect', () => process.exit(0))
