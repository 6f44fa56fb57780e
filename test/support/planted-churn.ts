import { behaviourOf, CHURN_DAYS, FADED, FADING_DAYS, SESSIONS, seasonOf } from '../../prisma/seed/behaviour.js'
import { type DemoWorld, PLANTED, sigmoid } from '../../prisma/seed/world.js'

const DAY = 86_400_000
/** Within a session the next event comes sooner. */
const GAP_MS = 50_000

/**
 * P(has left | sessions before `cut`) of every user, by the process that the shop was made with: activity exp(0.45 + 0.55 z), fading 0 or (45 %) uniform, Poisson
 * sessions before and during the fading, leaving by `PLANTED.churn`. Integrated over a grid of activity and fading. By the lemma of Neyman and Pearson no score of
 * the sessions orders leavers and stayers better than this.
 */
export function churnPosteriors(world: DemoWorld, now: Date, cut: number): number[] {
  const midnight = Math.floor(now.getTime() / DAY) * DAY
  const fadingFrom = midnight - (CHURN_DAYS + FADING_DAYS) * DAY
  const times = world.users.map((): number[] => [])
  for (const event of behaviourOf(world, now)) if (event.at < cut && event.type !== 'REFUND') times[event.user]?.push(event.at)
  return world.users.map(({ joinedDaysAgo }, index) => {
    const sessions = { before: 0, fading: 0 }
    let last = Number.NEGATIVE_INFINITY
    for (const at of times[index].sort((a, b) => a - b)) {
      if (at - last > GAP_MS) sessions[at < fadingFrom ? 'before' : 'fading']++
      last = at
    }
    const exposure = { before: 0, fading: 0 }
    for (let daysAgo = Math.min(365, joinedDaysAgo); daysAgo > CHURN_DAYS; daysAgo--)
      exposure[daysAgo > CHURN_DAYS + FADING_DAYS ? 'before' : 'fading'] += (SESSIONS / 30) * seasonOf(new Date(midnight - daysAgo * DAY))
    return posteriorOf(sessions, exposure)
  })
}

type Parts = { before: number; fading: number }

function posteriorOf(sessions: Parts, exposure: Parts): number {
  const { intercept, fade: perFade, logActivity } = PLANTED.churn
  const grid: { log: number; p: number }[] = []
  for (let z = -4; z <= 4; z += 0.1) {
    const activity = Math.exp(0.45 + 0.55 * z)
    for (let step = 0; step <= 40; step++) {
      const fade = step === 0 ? 0 : (step - 0.5) / 40
      const [before, fading] = [activity * exposure.before, activity * exposure.fading * (1 - FADED * fade)]
      const prior = -0.5 * z * z + Math.log(step === 0 ? 0.55 : 0.45 / 40)
      const likelihood = sessions.before * Math.log(before || 1) - before + sessions.fading * Math.log(fading) - fading
      grid.push({ log: prior + likelihood, p: sigmoid(intercept + perFade * fade + logActivity * Math.log(activity)) })
    }
  }
  const top = grid.reduce((most, { log }) => Math.max(most, log), Number.NEGATIVE_INFINITY)
  const [sum, weight] = grid.reduce(([s, w], { log, p }) => [s + p * Math.exp(log - top), w + Math.exp(log - top)], [0, 0])
  return sum / weight
}
