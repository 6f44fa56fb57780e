// A worker in a process of its own, to be killed by tests: node dist/test/support/flow-worker.js <database url> [redis url]
import { Jobs, startRunner } from '../../src/platform/job-runner.js'
import { JobStore } from '../../src/platform/job-store.js'
import { silentLog as log } from '../../src/platform/log.js'
import { openQueues } from '../../src/platform/queue.js'
import { createSignals } from '../../src/platform/signals.js'
import { flowDefinitions as definitions, openFlowDatabase } from './flow-jobs.js'

const [databaseUrl, redisUrl] = process.argv.slice(2)
const database = openFlowDatabase(databaseUrl)
const queues = await openQueues({ databaseUrl, redisUrl, log })
const signals = await createSignals({ database, redisUrl, log })
const store = new JobStore(database)
const jobs = new Jobs(store, queues, definitions, signals)
await startRunner({ services: { database }, definitions, jobs, store, queues, signals, log })
process.send?.('ready')
process.once('disconnect', () => process.exit(0))
