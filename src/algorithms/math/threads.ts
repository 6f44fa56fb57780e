import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { type Arena, type KernelName, kernelModule, loadKernels } from './kernels.js'

/**
 * The other cores, for kernels over one arena. A kernel takes its rows from a shared counter, so results are the same with any number of threads;
 * the caller works too and waits for the others, without giving way to other code. Helpers start on first use and do not keep a process alive.
 */
export interface Crew {
  /** Number of threads that may work at once; each kernel call is told its own, from 0, as its last argument. */
  readonly threads: number
  /** Calls the kernel function on every thread. `counter`, the first argument of every such kernel, is the crew's own, and starts at 0. */
  run(name: string, ...args: number[]): void
}

/** Beyond eight threads these kernels wait for memory. */
const MOST_THREADS = 8
const MOST_ARGS = 32
/** Bytes of an arena that are worth looking for those before it. */
const LARGE = 32 * 1024 * 1024
const [GENERATION, JOINED, DONE, KERNEL, FUNCTION, ARGS] = [0, 1, 2, 3, 4, 5]
/** JOINED while nothing runs, or nothing more can be joined. */
const CLOSED = -1

/** What a helper runs: it waits for work, takes over what was posted, joins the work while it is open, calls the function, and says that it is done. */
const HELPER = `
const { receiveMessageOnPort, workerData: { control, args, port, thread } } = require('node:worker_threads')
const collect = require('node:vm').runInNewContext('gc')
const kernels = new Map()
const refuse = () => { throw new Error('a kernel failed an assertion') }
const join = () => {
  for (let joined; (joined = Atomics.load(control, ${JOINED})) !== ${CLOSED}; )
    if (Atomics.compareExchange(control, ${JOINED}, joined, joined + 1) === joined) return true
  return false
}
const take = () => {
  let isGone = false
  for (let found; (found = receiveMessageOnPort(port)); ) {
    const { id, gone, module, memory } = found.message
    if (gone) isGone = kernels.delete(id) || isGone
    else kernels.set(id, new WebAssembly.Instance(module, { env: { memory, abort: refuse } }).exports)
  }
  // A thread that makes no garbage of its own collects none.
  if (isGone) collect()
}
for (let seen = -1; ; ) {
  Atomics.wait(control, ${GENERATION}, seen)
  seen = Atomics.load(control, ${GENERATION})
  take()
  if (!join()) continue
  take()
  const kernel = kernels.get(Atomics.load(control, ${KERNEL}))
  if (kernel) kernel[Object.keys(kernel)[Atomics.load(control, ${FUNCTION})]](...args.subarray(0, Atomics.load(control, ${ARGS})), thread)
  Atomics.add(control, ${DONE}, 1)
  Atomics.notify(control, ${DONE})
}`

interface Helpers {
  control: Int32Array
  args: Float64Array
  ports: MessagePort[]
}

let collect: (() => void) | undefined
let helpers: Helpers | undefined
let crews = 0

/** A crew whose threads run kernels/<name>.ts over `arena`. */
export function createCrew(
  name: KernelName,
  arena: Arena,
  threads = Math.min(availableParallelism(), MOST_THREADS),
): Crew & { close(): void } {
  const own = loadKernels<Record<string, (...args: number[]) => void>>(name, arena)
  const functions = Object.keys(own)
  const counter = arena.i32(4)
  if (threads > 1) helpers ??= startHelpers(Math.min(availableParallelism(), MOST_THREADS) - 1)
  const team = threads > 1 ? helpers : undefined
  const id = ++crews
  const post = (message: object) => {
    for (const port of team?.ports ?? []) port.postMessage({ id, ...message })
  }
  post({ module: kernelModule(name), memory: arena.memory })
  return {
    threads: 1 + (team?.ports.length ?? 0),
    run: (called, ...rest) => {
      const args = [counter.byteOffset, ...rest]
      Atomics.store(counter, 0, 0)
      if (!team) return own[called](...args, 0)
      if (args.length > MOST_ARGS) throw new RangeError(`A kernel takes at most ${MOST_ARGS} arguments`)
      const { control } = team
      team.args.set(args)
      Atomics.store(control, KERNEL, id)
      Atomics.store(control, FUNCTION, functions.indexOf(called))
      Atomics.store(control, ARGS, args.length)
      Atomics.store(control, DONE, 0)
      Atomics.store(control, JOINED, 0)
      wake(team)
      own[called](...args, 0)
      // Only those who joined are waited for: a helper that starts or wakes late takes part if there is something left, and else does not matter.
      const joined = Atomics.exchange(control, JOINED, CLOSED)
      for (let done = Atomics.load(control, DONE); done < joined; done = Atomics.load(control, DONE)) Atomics.wait(control, DONE, done)
    },
    close: () => {
      post({ gone: true })
      if (team) wake(team)
      if (arena.memory.buffer.byteLength >= LARGE) collector()()
    },
  }
}

/** V8 does not see how large shared memory is: of arenas that nobody has any more, gigabytes would wait for garbage enough beside them. */
function collector(): () => void {
  if (!collect) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  return collect
}

function wake({ control }: Helpers) {
  Atomics.add(control, GENERATION, 1)
  Atomics.notify(control, GENERATION)
}

function startHelpers(count: number): Helpers | undefined {
  if (count < 1) return undefined
  collector()
  const control = new Int32Array(new SharedArrayBuffer(64))
  control[JOINED] = CLOSED
  const args = new Float64Array(new SharedArrayBuffer(8 * MOST_ARGS))
  const ports = Array.from({ length: count }, (_, index) => {
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(HELPER, {
      eval: true,
      execArgv: [],
      workerData: { control, args, port: port2, thread: index + 1 },
      transferList: [port2 as never],
    })
    worker.unref()
    ;(port1 as unknown as { unref(): void }).unref()
    return port1
  })
  return { control, args, ports }
}
