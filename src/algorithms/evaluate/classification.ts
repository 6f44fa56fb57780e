/** Area under the ROC curve: (Σ ranks of positives − n₁(n₁+1)/2) / (n₁n₀), mean ranks on ties. NaN when one class is missing. */
export function auc(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  const order = Array.from({ length: labels.length }, (_, at) => at).sort((a, b) => scores[a] - scores[b])
  let positives = 0
  let rankSum = 0
  for (let from = 0; from < order.length; ) {
    let to = from
    while (to < order.length && scores[order[to]] === scores[order[from]]) to++
    const rank = (from + 1 + to) / 2
    for (let at = from; at < to; at++) {
      if (labels[order[at]] !== 1) continue
      positives++
      rankSum += rank
    }
    from = to
  }
  const negatives = labels.length - positives
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}

/** Mean natural log-loss, probabilities clipped at 1e-15. */
export function logLoss(labels: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < labels.length; at++) {
    const p = Math.max(1e-15, Math.min(1 - 1e-15, probabilities[at]))
    sum -= labels[at] * Math.log(p) + (1 - labels[at]) * Math.log(1 - p)
  }
  return sum / labels.length
}

/** Expected calibration error: sorted by p (stable), `bins` bins of equal mass, Σ (n_b / n)·|ȳ_b − p̄_b|. */
export function ece(labels: ArrayLike<number>, probabilities: ArrayLike<number>, bins = 10): number {
  const order = Array.from({ length: labels.length }, (_, at) => at).sort((a, b) => probabilities[a] - probabilities[b] || a - b)
  const [size, larger] = [Math.floor(order.length / bins), order.length % bins]
  let error = 0
  for (let bin = 0, from = 0; bin < bins; bin++) {
    const to = from + size + (bin < larger ? 1 : 0)
    let [y, p] = [0, 0]
    for (let at = from; at < to; at++) {
      y += labels[order[at]]
      p += probabilities[order[at]]
    }
    error += Math.abs(y - p) / order.length
    from = to
  }
  return error
}
