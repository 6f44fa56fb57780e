// npm run model:register -- <SENTIMENT|INTENT> <folder> [--name N] [--embedding] [--url …] [--key …]: hands over an ONNX model of your own and has it trained.
import { existsSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packFiles } from '../algorithms/text/own-model.js'
import { ConfigError, keysFile, readConfig } from '../config.js'
import { messageOf } from '../platform/errors.js'

const TRAIN = 'mutation($i: ModelTrainInput!) { modelTrain(input: $i) { job { id } userErrors { message } } }'

try {
  await run()
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.faults.join('\n') : messageOf(error)}\n`)
  process.exit(1)
}

async function run() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { name: { type: 'string' }, embedding: { type: 'boolean' }, url: { type: 'string' }, key: { type: 'string' } },
  })
  const [task, folder] = positionals
  if (!task || !folder)
    throw new Error(
      'Usage: npm run model:register -- <SENTIMENT|INTENT> <folder with model.onnx and tokenizer.json> [--name N] [--embedding] [--url URL] [--key KEY]',
    )
  const files = filesOf(folder, task.toUpperCase(), values.embedding === true)
  const config = readConfig(process.env)
  const url = values.url ?? `http://127.0.0.1:${config.port}`
  const authorization = `Bearer ${values.key ?? adminKey(keysFile(config))}`
  const name = values.name ?? basename(resolve(folder))
  const send = async (path: string, type: string, body: BodyInit) => {
    const response = await fetch(`${url}${path}`, { method: 'POST', headers: { authorization, 'content-type': type }, body }).catch(
      error => {
        throw new Error(`Nothing answers at ${url}; is the platform running (npm start)? ${messageOf((error as Error).cause ?? error)}`)
      },
    )
    return (await response.json()) as {
      error?: string
      bytes?: number
      data?: { modelTrain: { job: { id: string } | null; userErrors: { message: string }[] } }
    }
  }
  const packed = packFiles(files)
  const kept = await send(
    `/v1/text-models/${task.toUpperCase()}?name=${encodeURIComponent(name)}`,
    'application/octet-stream',
    packed as unknown as BodyInit,
  )
  if (kept.bytes === undefined) throw new Error(`The model was refused: ${kept.error}`)
  process.stdout.write(`${name} is kept for ${task.toUpperCase()} (${kept.bytes.toLocaleString('en')} bytes)\n`)
  const input = { task: task.toUpperCase(), algorithm: 'onnx' }
  const { data } = await send('/graphql', 'application/json', JSON.stringify({ query: TRAIN, variables: { i: input } }))
  const fault = data?.modelTrain.userErrors[0]?.message
  if (fault || !data?.modelTrain.job) throw new Error(`Its training did not begin: ${fault ?? 'no job was made'}`)
  process.stdout.write(`It is being trained and measured (job ${data.modelTrain.job.id}); the Models page then shows it for approval\n`)
}

/** A Hugging Face folder: model.onnx (also in onnx/), tokenizer.json, tokenizer_config.json, and config.json with id2label. */
function filesOf(folder: string, task: string, isEmbedding: boolean) {
  const path = ['model.onnx', 'onnx/model.onnx'].map(name => join(folder, name)).find(existsSync)
  if (!path) throw new Error(`There is no model.onnx in ${folder}`)
  const json = (name: string, isNeeded = false): Record<string, unknown> | undefined => {
    const file = join(folder, name)
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
    if (isNeeded) throw new Error(`There is no ${name} in ${folder}`)
    return undefined
  }
  const names = json('config.json')?.id2label as Record<string, string> | undefined
  const isNamed = names && !Object.values(names).every(name => /^LABEL_\d+$/.test(name))
  const ordered =
    isNamed &&
    Object.keys(names)
      .sort((a, b) => Number(a) - Number(b))
      .map(id => names[id])
  const labels = ordered && (task === 'SENTIMENT' ? ordered.map(name => name.toUpperCase()) : ordered)
  return {
    model: new Uint8Array(readFileSync(path)),
    tokenizer: json('tokenizer.json', true) as object,
    tokenizerConfig: json('tokenizer_config.json'),
    ...(labels && !isEmbedding ? { labels } : {}),
  }
}

function adminKey(file: string): string {
  if (!existsSync(file)) throw new Error(`There is no ${file}; start the platform (npm start), or give --url and --key`)
  return JSON.parse(readFileSync(file, 'utf8')).admin
}
