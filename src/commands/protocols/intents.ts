import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { intentAlgorithms } from '../../algorithms/text/index.js'
import { type Protocol, ProtocolError } from './protocol.js'
import { classified, csvRows, labelled, linePairs, type Pair } from './texts.js'

const DATA = '../shared/data'
/** Rules know the intents of a shop, not those of a bank. */
const learners = intentAlgorithms.slice(1)

/** Banking77 (Casanueva et al. 2020): 77 intents, all training texts, ten and five of each. */
export const banking77: Protocol = {
  name: 'banking77',
  about: 'Banking77: 77 intents of messages to a bank; all training texts, ten and five of each',
  run: function* ({ data = DATA, methods }) {
    const inFile = (name: string): Pair[] =>
      csvRows(join(data, 'banking77'), name, ['text', 'category']).map(({ text, category }) => [text, category])
    const [train, test] = labelled(inFile('train.csv'), inFile('test.csv'))
    yield* classified('banking77', learners, [{ train, test }], methods, 'full')
    for (const shots of [10, 5]) {
      const folder = join(data, 'few_shot_banking')
      const [few, all] = labelled(linePairs(join(folder, `train_${shots}`)), linePairs(join(folder, 'test')))
      yield* classified('banking77', learners, [{ train: few, test: all }], methods, `${shots}-shot`)
    }
  },
}

/** SMP2017-ECDT task 1: 31 Chinese intents, the official training and development texts against the test. */
export const smp: Protocol = {
  name: 'smp',
  about: 'SMP2017-ECDT: 31 intents of Chinese messages',
  run: function* ({ data = `${DATA}/smp_zh_intent`, methods }) {
    const [train, test] = labelled([...smpPairs(data, 'train'), ...smpPairs(data, 'develop')], smpPairs(data, 'test'))
    yield* classified('smp', learners, [{ train, test }], methods)
  },
}

/** A file a label, its name at the end of the file's; some in UTF-8, some in GB 18030. */
function smpPairs(folder: string, set: string): Pair[] {
  const path = join(folder, 'Task1data', set)
  if (!existsSync(path)) throw new ProtocolError(`The data is absent: there is no ${path}. Give its folder by --data`)
  return readdirSync(path)
    .filter(name => name.endsWith('.txt'))
    .sort()
    .flatMap(name => {
      const label = name.slice(name.lastIndexOf('_') + 1, -'.txt'.length)
      const lines = decoded(readFileSync(join(path, name))).split(/\r?\n/)
      return lines.flatMap((line): Pair[] => (line.trim() === '' ? [] : [[line.trim(), label]]))
    })
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder('gb18030').decode(bytes)
  }
}
