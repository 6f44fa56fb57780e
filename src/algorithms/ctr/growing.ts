import { logit } from '../math/calibration.js'
import { Arena, loadKernels } from '../math/kernels.js'
import type { Random } from '../math/random.js'
import { createCrew } from '../math/threads.js'
import type { Forest } from './forest.js'
import { cutsOf } from './hashing.js'

/** What is asked of the trees. */
export interface Growth {
  /** How many trees. */
  trees: number
  /** Most leaves of a tree, and most questions on the way to one. */
  leaves: number
  depth: number
  /** Share of a tree's value that is taken. */
  rate: number
  /** Ridge penalty on a leaf's value. */
  reg: number
  /** Least Σ p(1 − p) of a leaf. */
  minimumHessian: number
  /** Share of rows, and of columns, that each tree sees. */
  rowShare: number
  columnShare: number
  /** Most codes of a column, the one of the unknown included; up to 256. */
  codes: number
}

/** The kernels that one thread runs; the others are shared among the crew. */
interface TreeKernels {
  plus(a: number, b: number, bins: number): void
  subtract(a: number, b: number, bins: number): void
  split(hist: number, starts: number, columns: number, g: number, h: number, lambda: number, least: number, out: number): void
}

/** Rows below which waking the other threads takes longer than the work; from there on a node is cut into slices. */
const MANY_ROWS = 16_384
const SLICES = 4
const SAMPLE = 100_000
const MOST_BINS = 65_536

/** A row-major table with labels, 0 or 1; NaN is unknown. */
export interface TreeTable {
  rows: number
  columnCount: number
  columns: Float32Array
  labels: Uint8Array
}

/** Gradient-boosted trees of logistic loss, from the log-odds `start`; leaf-wise growth on histograms (Ke et al. 2017, Chen and Guestrin 2016). */
export function boost(table: TreeTable, start: number, growth: Growth, random: Random): Forest {
  const grower = new Grower(table, growth)
  try {
    grower.scores.fill(start)
    for (let tree = 0; tree < growth.trees; tree++) {
      grower.takeGradients()
      if (!grower.grow(random)) break
    }
    return grower.forest()
  } finally {
    grower.close()
  }
}

/**
 * One classification tree (Breiman et al. 1984): splits by Gini impurity, which is the gain of squared error on labels; a leaf's value is the log-odds of its
 * rate, drawn towards that of all rows as if `strength` more rows were in the leaf, less those of all rows.
 */
export function classificationTree(table: TreeTable, start: number, growth: Growth, strength: number): Forest {
  const base = 1 / (1 + Math.exp(-start))
  const grower = new Grower(table, { ...growth, reg: 0, rate: 1 })
  try {
    for (let row = 0; row < table.rows; row++) grower.gh.set([base - table.labels[row], 1], 2 * row)
    grower.grow(undefined, (g, rows) => logit((base * rows - g + strength * base) / (rows + strength)) - start)
    return grower.forest()
  } finally {
    grower.close()
  }
}

/** A node that may still be split. */
interface Open {
  node: number
  from: number
  to: number
  depth: number
  g: number
  h: number
  hist: number
  gain: number
  column: number
  bin: number
  missingLeft: number
  gLeft: number
  hLeft: number
}

/** Grows one tree after the other over binned rows in WebAssembly memory. */
class Grower {
  readonly scores: Float32Array
  readonly gh: Float32Array
  private readonly arena = new Arena()
  private readonly kernel = loadKernels<TreeKernels>('trees', this.arena)
  private readonly crew: ReturnType<typeof createCrew>
  /** For what is too little to be shared. */
  private readonly alone: ReturnType<typeof createCrew>
  private readonly cuts: Float64Array[]
  /** First bin of each column, and the end. */
  private readonly starts: Int32Array
  private readonly codes: Uint16Array
  /** The same, column after column. */
  private readonly byColumn: Uint16Array
  private readonly labels: Uint8Array
  private readonly order: Int32Array
  private readonly other: Int32Array
  private readonly answer: Float64Array
  private readonly nodes = new NodeList()
  private readonly free: number[] = []
  private readonly own: { codes: Uint16Array; starts: Int32Array; chosen: Int32Array; shifts: Int32Array }
  private readonly flat: Int32Array
  private readonly leaves: Int32Array
  private readonly lefts: Int32Array
  private readonly more: number

  constructor(
    private readonly table: TreeTable,
    private readonly growth: Growth,
  ) {
    const { rows, columnCount } = table
    const padded = Math.ceil(rows / 4) * 4
    this.crew = createCrew('trees', this.arena, rows < MANY_ROWS ? 1 : undefined)
    this.alone = createCrew('trees', this.arena, 1)
    this.cuts = cutsOfColumns(table, Math.max(2, growth.codes - 1))
    this.starts = this.arena.i32(columnCount + 1)
    for (let column = 0; column < columnCount; column++) this.starts[column + 1] = this.starts[column] + this.cuts[column].length + 2
    if (this.starts[columnCount] > MOST_BINS)
      throw new RangeError(`${columnCount} columns of up to ${growth.codes} codes are too many; ${MOST_BINS} codes in all are the limit`)
    this.codes = this.u16(rows * columnCount)
    this.byColumn = this.u16(rows * columnCount)
    this.labels = this.arena.u8(padded)
    this.labels.set(table.labels)
    this.scores = this.arena.f32(padded)
    this.gh = this.arena.f32(2 * padded)
    this.order = this.arena.i32(rows + 1)
    this.other = this.arena.i32(rows + 1)
    this.answer = this.arena.f64(6)
    this.flat = this.arena.i32(6 * 2 * growth.leaves)
    this.leaves = this.arena.i32(3 * growth.leaves)
    this.lefts = this.arena.i32(SLICES)
    const share = Math.max(1, Math.ceil(columnCount * growth.columnShare))
    const isAll = share >= columnCount
    this.own = {
      codes: isAll ? this.codes : this.u16(rows * share),
      starts: isAll ? this.starts : this.arena.i32(share + 1),
      chosen: this.arena.i32(isAll ? columnCount : share),
      shifts: this.arena.i32(isAll ? columnCount : share),
    }
    this.own.chosen.forEach((_, at) => {
      this.own.chosen[at] = at
    })
    this.free = Array.from({ length: growth.leaves + 1 }, () => this.arena.f64(2 * this.starts[columnCount]).byteOffset)
    this.more = this.arena.f64((SLICES - 1) * 2 * this.starts[columnCount]).byteOffset
    this.fillCodes()
  }

  close() {
    this.crew.close()
  }

  takeGradients() {
    this.crewFor(this.table.rows).run('gradients', this.scores.byteOffset, this.labels.byteOffset, this.table.rows, this.gh.byteOffset)
  }

  /** Grows one tree and adds it to the scores; false where no split was found. `leafValue` says a leaf's value by its Σg and Σh. */
  grow(random: Random | undefined, leafValue?: (g: number, h: number) => number): boolean {
    const { rows } = this.table
    const { growth, nodes } = this
    const value = leafValue ?? ((g: number, h: number) => (-growth.rate * g) / (h + growth.reg))
    const used = random ? this.draw(random) : this.everyRow()
    const columns = this.own.chosen.length
    const bins = this.own.starts[columns]
    const [codes, starts, order] = [this.own.codes.byteOffset, this.own.starts.byteOffset, this.order.byteOffset]
    const root = nodes.startTree()
    const look = (open: Open): Open => {
      this.kernel.split(open.hist, starts, columns, open.g, open.h, growth.reg, growth.minimumHessian, this.answer.byteOffset)
      const [gain, column, bin, missingLeft, gLeft, hLeft] = this.answer
      return { ...open, gain: open.depth < growth.depth ? gain : 0, column, bin, missingLeft, gLeft, hLeft }
    }
    const whole = this.sums(used)
    const opening = {
      node: root,
      from: 0,
      to: used,
      depth: 0,
      ...whole,
      hist: this.take(),
      gain: 0,
      column: 0,
      bin: 0,
      missingLeft: 0,
      gLeft: 0,
      hLeft: 0,
    }
    nodes.covers[root] = whole.h
    const build = ({ from, to, hist }: Open) => {
      const slices = slicesOf(to - from)
      const target = [this.gh.byteOffset, hist, this.more, bins, slices]
      this.crewFor(to - from).run('build', codes, columns, order, from, to, ...target)
      for (let slice = 1; slice < slices; slice++) this.kernel.plus(hist, this.more + 16 * bins * (slice - 1), bins)
    }
    build(opening)
    const open = [look(opening)]
    const closed: Open[] = []
    while (open.length > 0) {
      let best = 0
      for (let at = 1; at < open.length; at++) if (open[at].gain > open[best].gain) best = at
      const [leaf] = open.splice(best, 1)
      if (!(leaf.gain > 1e-12) || open.length + closed.length + 2 > growth.leaves) {
        closed.push(leaf)
        this.free.push(leaf.hist)
        continue
      }
      const missing = this.own.starts[leaf.column + 1] - 1
      const column = this.own.chosen[leaf.column]
      // From bins of the tree's own columns to those of all.
      const shift = this.starts[column] - this.own.starts[leaf.column]
      const size = leaf.to - leaf.from
      const place = [this.other.byteOffset, this.lefts.byteOffset, slicesOf(size)]
      const question = [leaf.bin + shift, missing + shift, leaf.missingLeft]
      const crew = this.crewFor(size)
      crew.run('partition', this.byColumn.byteOffset + 2 * column * rows, order, leaf.from, leaf.to, ...question, ...place)
      crew.run('settle', order, leaf.from, leaf.to, ...place)
      let middle = leaf.from
      for (let slice = 0; slice < slicesOf(size); slice++) middle += this.lefts[slice]
      const [left, right] = nodes.split(leaf.node, {
        column,
        cut: this.cuts[column][leaf.bin - this.own.starts[leaf.column]] ?? Number.POSITIVE_INFINITY,
        missingLeft: leaf.missingLeft,
      })
      nodes.bins[leaf.node] = [leaf.bin, leaf.missingLeft ? missing : -1, leaf.column]
      const depth = leaf.depth + 1
      const l = { ...leaf, node: left, to: middle, depth, g: leaf.gLeft, h: leaf.hLeft, gain: 0 }
      const r = { ...leaf, node: right, from: middle, depth, g: leaf.g - leaf.gLeft, h: leaf.h - leaf.hLeft, gain: 0 }
      nodes.covers[left] = l.h
      nodes.covers[right] = r.h
      // Neither child of the last split, nor of the deepest level, nor one too light to be cut, needs a histogram.
      const canSplit = (child: Open) => depth < growth.depth && child.h >= 2 * growth.minimumHessian
      if (open.length + closed.length + 3 > growth.leaves || (!canSplit(l) && !canSplit(r))) {
        closed.push(l, r)
        this.free.push(leaf.hist)
        continue
      }
      const [small, large] = middle - leaf.from <= leaf.to - middle ? [l, r] : [r, l]
      small.hist = this.take()
      build(small)
      this.kernel.subtract(large.hist, small.hist, bins)
      open.push(look(small), look(large))
    }
    closed.forEach(({ node, from, to, g, h }, at) => {
      nodes.values[node] = value(g, h)
      this.leaves.set([from, to], 3 * at)
      this.floatAt(this.leaves, 3 * at + 2, nodes.values[node])
    })
    this.crewFor(used).run('add', this.scores.byteOffset, order, this.leaves.byteOffset, closed.length)
    if (used < rows) this.addToOthers(root, used)
    return closed.length > 1
  }

  forest(): Forest {
    return this.nodes.forest()
  }

  /** Σg and Σh of the first `used` rows of the order. */
  private sums(used: number): { g: number; h: number } {
    let [g, h] = [0, 0]
    for (let at = 0; at < used; at++) {
      g += this.gh[2 * this.order[at]]
      h += this.gh[2 * this.order[at] + 1]
    }
    return { g, h }
  }

  private everyRow(): number {
    for (let row = 0; row < this.table.rows; row++) this.order[row] = row
    return this.table.rows
  }

  /** Puts the rows that a tree sees first and the others behind, each in order; chooses its columns. Returns how many it sees. */
  private draw(random: Random): number {
    const { rows, columnCount } = this.table
    const { rowShare } = this.growth
    const { chosen, shifts, starts, codes } = this.own
    if (chosen.length < columnCount) {
      const all = Int32Array.from({ length: columnCount }, (_, column) => column)
      for (let at = 0; at < chosen.length; at++) {
        const other = at + random.below(columnCount - at)
        ;[all[at], all[other]] = [all[other], all[at]]
      }
      chosen.set(all.subarray(0, chosen.length).sort())
      for (let at = 0; at < chosen.length; at++) {
        shifts[at] = this.starts[chosen[at]] - starts[at]
        starts[at + 1] = starts[at] + this.starts[chosen[at] + 1] - this.starts[chosen[at]]
      }
      const target = [chosen.byteOffset, shifts.byteOffset, chosen.length, codes.byteOffset]
      this.crewFor(rows).run('choose', this.codes.byteOffset, columnCount, rows, ...target)
    }
    if (rowShare >= 1) return this.everyRow()
    let used = 0
    let left = rows
    for (let row = 0; row < rows; row++) {
      if (random.next() < rowShare) this.order[used++] = row
      else this.order[--left] = row
    }
    return used
  }

  /** Adds the tree to the scores of the rows that it did not see. */
  private addToOthers(root: number, used: number) {
    const { columns, left, right, values, bins } = this.nodes
    for (let node = root; node < columns.length; node++) {
      const at = 6 * (node - root)
      const [bin, missing, column] = bins[node] ?? [0, -1, -1]
      this.flat.set([column, bin, missing, left[node] - root, right[node] - root], at)
      this.floatAt(this.flat, at + 5, values[node])
    }
    this.crewFor(this.table.rows - used).run(
      'descend',
      this.own.codes.byteOffset,
      this.own.chosen.length,
      this.order.byteOffset,
      used,
      this.table.rows,
      this.flat.byteOffset,
      this.scores.byteOffset,
    )
  }

  private take(): number {
    const hist = this.free.pop()
    if (hist === undefined) throw new Error('More leaves are open than there are histograms')
    return hist
  }

  private u16(length: number): Uint16Array {
    const { buffer, byteOffset } = this.arena.u8(2 * length)
    return new Uint16Array(buffer, byteOffset, length)
  }

  private fillCodes() {
    const { rows, columnCount, columns } = this.table
    const mark = this.arena.mark()
    const cutStarts = this.arena.i32(columnCount + 1)
    this.cuts.forEach((cuts, column) => {
      cutStarts[column + 1] = cutStarts[column] + cuts.length
    })
    const cuts = this.arena.f64(cutStarts[columnCount])
    this.cuts.forEach((own, column) => {
      cuts.set(own, cutStarts[column])
    })
    const values = this.arena.f32(rows * columnCount)
    values.set(columns.subarray(0, rows * columnCount))
    const target = [this.starts, this.codes, this.byColumn].map(({ byteOffset }) => byteOffset)
    this.crewFor(rows).run('encode', values.byteOffset, rows, columnCount, cuts.byteOffset, cutStarts.byteOffset, ...target)
    this.arena.release(mark)
  }

  private crewFor(rows: number) {
    return rows < MANY_ROWS ? this.alone : this.crew
  }

  private floatAt({ buffer, byteOffset }: Int32Array, at: number, value: number) {
    new Float32Array(buffer, byteOffset + 4 * at, 1)[0] = value
  }
}

/** Into how many pieces the rows of a node are cut: by their number alone, so that sums do not depend on the threads. */
function slicesOf(rows: number): number {
  return rows < MANY_ROWS ? 1 : SLICES
}

class NodeList {
  readonly roots: number[] = []
  readonly columns: number[] = []
  readonly cuts: number[] = []
  readonly missingLeft: number[] = []
  readonly left: number[] = []
  readonly right: number[] = []
  readonly values: number[] = []
  readonly covers: number[] = []
  /** Last bin of the left side, code of the unknown that go left, and column among the tree's own; only while growing. */
  readonly bins: ([number, number, number] | undefined)[] = []

  startTree(): number {
    this.roots.push(this.columns.length)
    return this.leaf()
  }

  split(node: number, { column, cut, missingLeft }: { column: number; cut: number; missingLeft: number }): [number, number] {
    this.columns[node] = column
    this.cuts[node] = cut
    this.missingLeft[node] = missingLeft
    this.left[node] = this.leaf()
    this.right[node] = this.leaf()
    return [this.left[node], this.right[node]]
  }

  forest(): Forest {
    return {
      roots: Int32Array.from(this.roots),
      columns: Int32Array.from(this.columns),
      cuts: Float64Array.from(this.cuts),
      missingLeft: Uint8Array.from(this.missingLeft),
      left: Int32Array.from(this.left),
      right: Int32Array.from(this.right),
      values: Float64Array.from(this.values),
      covers: Float64Array.from(this.covers),
    }
  }

  private leaf(): number {
    const node = this.columns.length
    this.columns.push(-1)
    this.cuts.push(0)
    this.missingLeft.push(0)
    this.left.push(node)
    this.right.push(node)
    this.values.push(0)
    this.covers.push(0)
    return node
  }
}

/** Cuts of each column at the quantiles of up to about 100,000 of its known values. */
function cutsOfColumns({ rows, columnCount, columns }: TreeTable, most: number): Float64Array[] {
  const step = Math.max(1, Math.floor(rows / SAMPLE))
  return Array.from({ length: columnCount }, (_, column) => {
    const values = new Float64Array(Math.ceil(rows / step))
    let count = 0
    for (let row = 0; row < rows; row += step) {
      const value = columns[row * columnCount + column]
      if (!Number.isNaN(value)) values[count++] = value
    }
    return cutsOf(values.subarray(0, count).sort(), most)
  })
}
