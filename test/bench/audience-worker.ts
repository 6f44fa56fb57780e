// A worker in a process of its own that knows no jobs but those of audiences: node dist/test/bench/audience-worker.js <database url>
import { buildAudience, scoreAudienceRange } from '../../jobs/audiences.js'
import { createApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { checkDefinitions, startRunner } from '../../src/platform/job-runner.js'
import { silentLog as log } from '../../src/platform/log.js'

const config = readConfig({ BELLWETHER_DEMO: 'off', BELLWETHER_LOG_LEVEL: 'silent', BELLWETHER_THREADS: '2' })
const app = await createApp({ config, databaseUrl: process.argv[2], log, role: 'worker' })
await app.liveModels.start()
const { jobs, jobStore: store, queues, signals } = app
const definitions = checkDefinitions([buildAudience, scoreAudienceRange] as never[])
await startRunner({ services: app, definitions, jobs, store, queues, signals, log })
process.send?.('ready')
process.once('disconnect', () => process.exit(0))
