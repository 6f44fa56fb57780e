import { kernels } from './generated/kernels.js'

export type KernelName = keyof typeof kernels
const PAGE = 65_536
const MOST_PAGES = 65_536
const FIRST_FREE = 1_024

/**
 * Linear memory that kernels work in, handed out front to back and given back by `release`, all at once or down to a mark. The arrays are views:
 * kernels see what is written to them, by the `byteOffset` of the view. It is shared memory, so that threads can work on one arena, and it never moves.
 */
export class Arena {
  private next = FIRST_FREE

  constructor(readonly memory = new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES, shared: true })) {}

  f32(length: number): Float32Array {
    const offset = this.take(4 * length)
    return new Float32Array(this.memory.buffer, offset, length)
  }

  f64(length: number): Float64Array {
    const offset = this.take(8 * length)
    return new Float64Array(this.memory.buffer, offset, length)
  }

  i32(length: number): Int32Array {
    const offset = this.take(4 * length)
    return new Int32Array(this.memory.buffer, offset, length)
  }

  u8(length: number): Uint8Array {
    const offset = this.take(length)
    return new Uint8Array(this.memory.buffer, offset, length)
  }

  /** What is handed out from here on can be given back by `release(mark)`. */
  mark(): number {
    return this.next
  }

  release(mark = FIRST_FREE) {
    this.next = mark
  }

  /** Byte offset of fresh, 16-byte aligned memory. Throws `RangeError` above 4 GiB. */
  private take(bytes: number): number {
    const offset = this.next
    const end = offset + Math.ceil(bytes / 16) * 16
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE)
    if (missing > 0) this.memory.grow(missing)
    this.next = end
    return offset
  }
}

const modules = new Map<KernelName, WebAssembly.Module>()

/** The functions of kernels/<name>.ts, compiled from AssemblyScript to SIMD WebAssembly, over the memory of `arena`. */
export function loadKernels<Functions>(name: KernelName, arena: Arena): Functions {
  const refuse = () => {
    throw new Error(`The kernel ${name} failed an assertion`)
  }
  return new WebAssembly.Instance(kernelModule(name), { env: { memory: arena.memory, abort: refuse } }).exports as Functions
}

export function kernelModule(name: KernelName): WebAssembly.Module {
  let module = modules.get(name)
  if (!module) {
    module = new WebAssembly.Module(Buffer.from(kernels[name], 'base64'))
    modules.set(name, module)
  }
  return module
}
