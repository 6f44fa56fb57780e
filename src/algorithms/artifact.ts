/** Bytes of a model: magic, header length, JSON header, then typed arrays, each aligned to 8 bytes (little endian). */
const MAGIC = 'BWA1'
const KINDS = { f64: Float64Array, f32: Float32Array, i32: Int32Array, u32: Uint32Array, u8: Uint8Array } as const
type Kind = keyof typeof KINDS
export type NumberArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array

/** Raised by `unpack` on truncated, foreign or newer bytes. */
export class BrokenArtifact extends Error {}

export interface Packed {
  meta: Record<string, unknown>
  arrays: Record<string, NumberArray>
}

/** `format` names the algorithm and its version, e.g. "item-cf/1"; `unpack` refuses another one. */
export function pack(format: string, { meta, arrays }: Packed): Uint8Array {
  const entries = Object.entries(arrays)
  const sections: { name: string; kind: Kind; length: number; offset: number }[] = []
  let offset = 0
  for (const [name, array] of entries) {
    sections.push({ name, kind: kindOf(array), length: array.length, offset })
    offset = align(offset + array.byteLength)
  }
  const header = new TextEncoder().encode(JSON.stringify({ format, meta, sections }))
  const start = align(8 + header.length)
  const bytes = new Uint8Array(start + offset)
  bytes.set(new TextEncoder().encode(MAGIC))
  new DataView(bytes.buffer).setUint32(4, header.length, true)
  bytes.set(header, 8)
  entries.forEach(([, array], index) => {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), start + sections[index].offset)
  })
  return bytes
}

export function unpack(format: string, bytes: Uint8Array): Packed {
  if (bytes.length < 8 || new TextDecoder().decode(bytes.subarray(0, 4)) !== MAGIC)
    throw new BrokenArtifact('These bytes are not a model artifact')
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true)
  if (8 + headerLength > bytes.length) throw new BrokenArtifact('The model artifact is truncated in its header')
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)))
  if (header.format !== format) throw new BrokenArtifact(`The artifact is of format ${header.format}, not ${format}`)
  const start = align(8 + headerLength)
  const arrays: Record<string, NumberArray> = {}
  for (const { name, kind, length, offset } of header.sections as { name: string; kind: Kind; length: number; offset: number }[]) {
    const type = KINDS[kind]
    const from = start + offset
    if (from + length * type.BYTES_PER_ELEMENT > bytes.length) throw new BrokenArtifact(`The model artifact is truncated in ${name}`)
    arrays[name] = new type(bytes.slice(from, from + length * type.BYTES_PER_ELEMENT).buffer)
  }
  return { meta: header.meta, arrays }
}

function kindOf(array: NumberArray): Kind {
  const kind = (Object.keys(KINDS) as Kind[]).find(name => array instanceof KINDS[name])
  if (!kind) throw new TypeError('An artifact holds Float64Array, Float32Array, Int32Array, Uint32Array and Uint8Array only')
  return kind
}

function align(offset: number): number {
  return (offset + 7) & ~7
}
