import { pack, unpack } from '../algorithms/artifact.js'

/** A model as it is stored: the algorithm's own bytes, the database id of each item index, and by how many rows each item was taught. */
export interface Bundle {
  artifact: Uint8Array
  keys: Int32Array
  taught?: Int32Array
}

const FORMAT = 'model/1'

export function packBundle({ artifact, keys, taught }: Bundle): Uint8Array {
  return pack(FORMAT, { meta: {}, arrays: { artifact, keys, ...(taught && { taught }) } })
}

/** Throws `BrokenArtifact` on bytes that are not a bundle. */
export function unpackBundle(bytes: Uint8Array): Bundle {
  const { artifact, keys, taught } = unpack(FORMAT, bytes).arrays
  return { artifact: artifact as Uint8Array, keys: keys as Int32Array, taught: taught as Int32Array | undefined }
}
