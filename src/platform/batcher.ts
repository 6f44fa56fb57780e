/**
 * Answers many single look-ups by one: calls of the same turn of the event loop, of whatever request, share one `load`. While a load is under way
 * the next batch gathers. Nothing is remembered, so every answer is as fresh as its load.
 */
export function createBatcher<Key, Value>(load: (keys: Key[]) => Promise<Value[]>, largestBatch = 256): (key: Key) => Promise<Value> {
  let waiting: { key: Key; done: (value: Value) => void; failed: (error: unknown) => void }[] = []
  const flush = async () => {
    const all = waiting
    waiting = []
    for (let start = 0; start < all.length; start += largestBatch) {
      const batch = all.slice(start, start + largestBatch)
      load(batch.map(({ key }) => key)).then(
        values => {
          for (const [index, { done }] of batch.entries()) done(values[index])
        },
        error => {
          for (const { failed } of batch) failed(error)
        },
      )
    }
  }
  return key =>
    new Promise((done, failed) => {
      if (waiting.length === 0) setImmediate(flush)
      waiting.push({ key, done, failed })
    })
}
