/** A table of numbers, row-major; NaN is unknown. */
export interface Table {
  rows: number
  columnCount: number
  values: Float32Array
}

/** How each column is brought to a common scale: (f(x) − centre) / spread, f = sign(x)·ln(1 + |x|) for skewed columns; the unknown get 0, the centre. */
export interface Scaling {
  isLog: boolean[]
  centres: number[]
  /** 1 where a column is constant. */
  spreads: number[]
  /** Scaled values are kept within ±limit, so that one outlier is no cluster. */
  limit: number
}

const SKEWED = 2

/** Learns the scaling: means and standard deviations of the known values, after a logarithm where the skewness is above 2. */
export function fitScaling({ rows, columnCount, values }: Table, limit = 4): Scaling {
  const scaling: Scaling = { isLog: [], centres: [], spreads: [], limit }
  for (let column = 0; column < columnCount; column++) {
    const moments = (f: (x: number) => number) => {
      let [count, mean, second, third] = [0, 0, 0, 0]
      for (let at = column; at < rows * columnCount; at += columnCount) {
        const x = f(values[at])
        if (!Number.isFinite(x)) continue
        count++
        const [d, n] = [x - mean, count]
        const step = d / n
        third += d * step * step * (n - 1) * (n - 2) - 3 * step * second
        second += d * step * (n - 1)
        mean += step
      }
      const deviation = Math.sqrt(second / Math.max(1, count))
      return { mean, deviation, skewness: deviation > 0 ? third / count / deviation ** 3 : 0 }
    }
    const plain = moments(x => x)
    const logged = moments(damped)
    const isLog = Math.abs(plain.skewness) > SKEWED && Math.abs(logged.skewness) < Math.abs(plain.skewness)
    const { mean, deviation } = isLog ? logged : plain
    scaling.isLog.push(isLog)
    scaling.centres.push(mean)
    scaling.spreads.push(deviation > 1e-9 * Math.max(1, Math.abs(mean)) ? deviation : 1)
  }
  return scaling
}

export function scaled({ isLog, centres, spreads, limit }: Scaling, column: number, value: number): number {
  if (Number.isNaN(value)) return 0
  const z = ((isLog[column] ? damped(value) : value) - centres[column]) / spreads[column]
  return Math.max(-limit, Math.min(limit, z))
}

/** The value whose scaled value is `z`. */
export function unscaled({ isLog, centres, spreads }: Scaling, column: number, z: number): number {
  const value = z * spreads[column] + centres[column]
  return isLog[column] ? Math.sign(value) * Math.expm1(Math.abs(value)) : value
}

/** Every row scaled, row-major. */
export function scaledRows(scaling: Scaling, { rows, columnCount, values }: Table): Float32Array {
  const out = new Float32Array(rows * columnCount)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columnCount; column++)
      out[row * columnCount + column] = scaled(scaling, column, values[row * columnCount + column])
  return out
}

function damped(value: number): number {
  return Math.sign(value) * Math.log1p(Math.abs(value))
}
