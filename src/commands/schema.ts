// npm run schema [-- --check]: writes schema.graphql from the resolvers, or says whether the committed one is current.
import { readFileSync, writeFileSync } from 'node:fs'
import { resolverClasses } from '../app.js'
import { createSchema, schemaText } from '../graphql/schema.js'

const FILE = 'schema.graphql'
const text = schemaText(createSchema(resolverClasses))
if (!process.argv.includes('--check')) {
  writeFileSync(FILE, text)
  console.log(`Wrote ${FILE}`)
} else if (readFileSync(FILE, 'utf8') === text) console.log(`${FILE} is current`)
else {
  console.error(`${FILE} is not what the code says; run npm run schema and commit it`)
  process.exitCode = 1
}
