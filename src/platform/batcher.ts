/**
 * Answers many single look-ups by one: calls of the same turn of the event loop, of whatever request, share one `load`. While `lanes` loads are under way
 * the next batch gathers, so that batches grow with the traffic. A second lane pays where loads do not get into each other's way and this process has
 * time left while it waits; it opens for `worthwhile` look-ups that wait, as a load has costs of its own. Nothing is remembered, so every answer is as fresh as
 * its load.
 */
export function createBatcher<Key, Value>(
  load: (keys: Key[]) => Promise<Value[]>,
  { largestBatch = 256, lanes = 1, worthwhile = 1 } = {},
): (key: Key) => Promise<Value> {
  const waiting: { key: Key; done: (value: Value) => void; failed: (error: unknown) => void }[] = []
  let running = 0
  let isDue = false
  const opens = () => waiting.length >= (running === 0 ? 1 : worthwhile) && running < lanes
  const run = async () => {
    isDue = false
    while (opens()) {
      running++
      const batch = waiting.splice(0, largestBatch)
      try {
        const values = await load(batch.map(({ key }) => key))
        for (const [index, { done }] of batch.entries()) done(values[index])
      } catch (error) {
        for (const { failed } of batch) failed(error)
      }
      running--
    }
  }
  return key =>
    new Promise((done, failed) => {
      waiting.push({ key, done, failed })
      if (isDue || !opens()) return
      isDue = true
      setImmediate(run)
    })
}
