import pg from 'pg'

/** What an app looks up by the clock, whoever asks for something at that moment. */
const BY_THE_CLOCK = [/^SELECT DISTINCT ON \(task, algorithm\)/, /^SELECT name, value->>'trainedAt'/, /AS mark FROM "FaqEntry"/]

type Query = (this: pg.Client, ...args: unknown[]) => unknown

/** The SQL statements that every connection of this test file sends while `work` runs, Prisma's included; those by the clock are left out. */
export async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const { query } = prototype
  const statements: string[] = []
  prototype.query = function (...args) {
    const [first] = args as [string | { text?: string }]
    const text = typeof first === 'string' ? first : (first?.text ?? '')
    if (!BY_THE_CLOCK.some(pattern => pattern.test(text.trimStart()))) statements.push(text)
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
