import pg from 'pg'

type Query = (this: pg.Client, ...args: unknown[]) => unknown

/** The SQL statements that every connection of this test file sends while `work` runs, Prisma's included. */
export async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const { query } = prototype
  const statements: string[] = []
  prototype.query = function (...args) {
    const [first] = args as [string | { text?: string }]
    statements.push(typeof first === 'string' ? first : (first?.text ?? ''))
    return query.apply(this, args)
  }
  try {
    await work()
  } finally {
    prototype.query = query
  }
  return statements
}

export async function countQueries(work: () => Promise<unknown>): Promise<number> {
  return (await statementsOf(work)).length
}
