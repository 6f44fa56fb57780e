import { spawn } from 'node:child_process'

/** Runs `npm run <command>` as a person types it, with nothing of the tests' own environment; answers its exit code and what it said. */
export async function runCommand(command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(NODE_|JEST_|BELLWETHER_|PORT$)/.test(name))
  const env = { ...Object.fromEntries(inherited), ...more }
  const child = spawn(process.execPath, ['src/start.mjs', command, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = [child.stdout, child.stderr].map(async stream => {
    let text = ''
    for await (const chunk of stream) text += chunk
    return text
  })
  const code = await new Promise<number | null>(done => child.once('close', done))
  return { code, out: await out, err: await err }
}
