// Confirms what an alert proposes in a process of its own, to be killed by tests: node dist/test/support/decide-action.js <database url> <settings> <alert id> <action>
import { createApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { silentLog as log } from '../../src/platform/log.js'
import type { OpinionAction } from '../../src/reviews/opinion.schema.js'

const [databaseUrl, settings, alertId, action] = process.argv.slice(2)
const config = { ...readConfig({ BELLWETHER_DEMO: 'off', BELLWETHER_LOG_LEVEL: 'silent' }), ...JSON.parse(settings) }
const app = await createApp({ config, databaseUrl, log, role: 'server' })
process.once('disconnect', () => process.exit(0))
await app.opinion.decide({ name: 'mia' }, { alertId, action: action as OpinionAction, confirm: true })
process.exit(0)
