/**
 * Budget pacing. A controller is a pure function from its state (plain JSON) and what has been spent so far to the next state; the bids of
 * every strategy are multiplied by `multiplier`. Amounts are micros, moments are milliseconds (or any other clock: auctions, slots).
 */
export interface PacingState {
  controller: ControllerName
  multiplier: number
  /** The multiplier at the start of the period. */
  base: number
  /** Σe of PID or ∫d of dual, the last error, and the slot it stands in with what was committed when that slot began. */
  integral: number
  lastError: number
  slot: number
  committedAtSlot: number
  /** Smoothed spend per unit of target (1 is exactly on the curve), and where it was last measured; for the projection. */
  rate: number
  seenTarget: number
  seenCommitted: number
}

/** What the controller is told. Reserved money counts as spent: it may be charged at any moment. */
export interface PacingObservation {
  /** Share of the period gone by, in [0, 1]. */
  elapsed: number
  budgetMicros: number
  /** Billable so far. */
  spentMicros: number
  /** Open reservations. */
  reservedMicros: number
}

export interface PacingOptions {
  /** Share of the budget that should be spent at each share of the period; uniform unless given. */
  curve?: TargetCurve
  /** Multiplier at the start, e.g. that of yesterday's end. */
  start?: number
  /** Steps of the PID controller in a period. */
  slots?: number
  kp?: number
  ki?: number
  kd?: number
  /** κ of the dual controller. */
  gain?: number
  /** Bounds of the multiplier. */
  least?: number
  most?: number
}

export interface Controller {
  readonly name: ControllerName
  readonly about: string
  start(options?: PacingOptions): PacingState
  /** The state after this observation; the old one is not changed. Observations may come at any rate, twice, or after a pause. */
  step(state: PacingState, seen: PacingObservation, options?: PacingOptions): PacingState
}

export type ControllerName = 'none' | 'pid' | 'dual'
export type PacingStatus = 'ON_TRACK' | 'UNDER' | 'OVER' | 'EXHAUSTED'

export interface PacingReport {
  status: PacingStatus
  targetMicros: number
  committedMicros: number
  multiplier: number
  /** Committed by the end of the period if spend goes on as of late, at most the budget. */
  projectedMicros: number
}

/** Share of the budget to be spent by a share of the period: from 0 at 0 to 1 at 1, never falling. */
export interface TargetCurve {
  at(elapsed: number): number
}

/** Ten minutes of a day. */
const SLOTS = 144
const BOUNDS = { least: 0.05, most: 20 }
/** Uniform pacing is on track within this share of the budget. */
const TOLERANCE = 0.05
/** Share of the period over which the projection's rate is smoothed. */
const SMOOTHING = 0.05

/** The same spend at every moment. */
export const uniform: TargetCurve = { at: elapsed => clamp(elapsed, 0, 1) }

/**
 * Spend in proportion to weights of equally long parts of the period (hours of a sales forecast), linear within a part. Throws RangeError on
 * an empty list, a negative or infinite weight, or all zero.
 */
export function shapedBy(weights: ArrayLike<number>): TargetCurve {
  const parts = weights.length
  const sums = new Float64Array(parts + 1)
  for (let part = 0; part < parts; part++) {
    if (!(weights[part] >= 0 && weights[part] < Number.POSITIVE_INFINITY))
      throw new RangeError(`Weight ${part} of the pacing curve is ${weights[part]}; it must be a number, zero or more`)
    sums[part + 1] = sums[part] + weights[part]
  }
  const total = sums[parts]
  if (!(total > 0 && total < Number.POSITIVE_INFINITY)) throw new RangeError('The weights of a pacing curve must sum to more than zero')
  return {
    at: elapsed => {
      const place = clamp(elapsed, 0, 1) * parts
      const part = Math.min(parts - 1, Math.floor(place))
      return (sums[part] + (place - part) * weights[part]) / total
    },
  }
}

/** No control: the multiplier stays where it starts (ACCELERATED delivery). */
export const none: Controller = {
  name: 'none',
  about: 'Bids as set until the budget is gone',
  start: options => fresh('none', options),
  step: (state, seen, options) => measured(state, seen, options),
}

/**
 * PID on the spend of each slot: λ ← λ·exp(kp·e + ki·Σe + kd·Δe), e = (target − spend)/target in [−1, 1], where the target of a slot is its part
 * of what is left (so an error made is spread over the rest). Gains are those of the pacing literature's multiplicative actuator (Zhang et al.
 * 2016, Feedback control of real-time display advertising).
 */
export const pid: Controller = {
  name: 'pid',
  about: 'Corrects the multiplier once a slot by proportional, integral and differential error of spend',
  start: options => fresh('pid', options),
  step: (state, seen, options = {}) => {
    const { slots = SLOTS, kp = 0.5, ki = 0.05, kd = 0.1, curve = uniform } = options
    const next = measured(state, seen, options)
    const slot = Math.min(slots, Math.floor(clamp(seen.elapsed, 0, 1) * slots + 1e-9))
    if (slot <= state.slot) return next
    // After a pause several slots have gone by: they are judged as one, else the pause would count many times.
    const left = 1 - curve.at(state.slot / slots)
    const due = left > 0 ? (curve.at(slot / slots) - curve.at(state.slot / slots)) / left : 1
    const committed = committedOf(seen)
    const target = (seen.budgetMicros - state.committedAtSlot) * due
    const spent = committed - state.committedAtSlot
    const error = target > 0 ? clamp((target - spent) / target, -1, 1) : spent > 0 ? -1 : 0
    const integral = clamp(state.integral + error, -5, 5)
    const push = kp * error + ki * integral + kd * (error - state.lastError)
    next.multiplier = bounded(state.multiplier * Math.exp(push), options)
    next.integral = integral
    next.lastError = error
    next.slot = slot
    next.committedAtSlot = committed
    return next
  },
}

/**
 * Dual (shadow-price) control: bid θ/μ, and after each of n auctions μ ← μ·exp(−η(ρ − cost)/ρ), ρ = B/n (online mirror descent on the
 * budget's dual; Balseiro, Lu and Mirrokni 2020). Its exponents add up, so that μ depends only on what is committed against the curve:
 *   λ = λ₀·exp(κ·d + κᵢ·∫d), d = target share − committed share, κ = ηn.
 * The integral is the PI form of the dual update (Balseiro et al. 2022): without it spend would stand off the curve for as long as λ₀ is wrong;
 * κᵢ = κ²/2 lets an error die away without swinging. A doubled or a lost observation does no harm.
 */
export const dual: Controller = {
  name: 'dual',
  about: 'Prices the budget: the multiplier follows the distance between committed and target spend',
  start: options => fresh('dual', options),
  step: (state, seen, options = {}) => {
    const { curve = uniform, gain = GAIN } = options
    const next = measured(state, seen, options)
    const distance = clamp(curve.at(seen.elapsed) - shareOf(seen), -REACH, REACH)
    const passed = Math.min(next.seenTarget - state.seenTarget, REACH)
    const integral = state.integral + ((state.lastError + distance) / 2) * passed
    const wanted = state.base * Math.exp(gain * distance + (gain * gain * integral) / 2)
    const multiplier = bounded(wanted, options)
    // At a bound the integral waits, or it would have to be undone before the multiplier could leave.
    const isStuck = multiplier !== wanted && Math.sign(wanted - multiplier) === Math.sign(distance)
    next.multiplier = multiplier
    if (!isStuck) next.integral = integral
    next.lastError = distance
    return next
  },
}

const GAIN = 30
/** A distance beyond this share of the budget (after a pause, a raised budget) is caught up with patience, not at any price. */
const REACH = 0.1

/** Every controller there is. A new one is one constant here. */
export const controllers: readonly Controller[] = [none, pid, dual]

/** Where the budget stands. Within 5 % of the budget around the curve is on track. */
export function report(state: PacingState, seen: PacingObservation, { curve = uniform }: PacingOptions = {}): PacingReport {
  const committed = committedOf(seen)
  const target = curve.at(seen.elapsed)
  const share = shareOf(seen)
  const status =
    committed >= seen.budgetMicros ? 'EXHAUSTED' : share > target + TOLERANCE ? 'OVER' : share < target - TOLERANCE ? 'UNDER' : 'ON_TRACK'
  const projected = seen.elapsed > 0 || committed > 0 ? committed + state.rate * (1 - target) * seen.budgetMicros : seen.budgetMicros
  return {
    status,
    targetMicros: Math.round(target * seen.budgetMicros),
    committedMicros: committed,
    multiplier: state.multiplier,
    projectedMicros: Math.round(Math.max(committed, Math.min(projected, seen.budgetMicros))),
  }
}

/** A state read back from JSON; anything that is not one starts anew, because a lost multiplier costs minutes and no money. */
export function restore(controller: Controller, json: unknown, options?: PacingOptions): PacingState {
  const start = controller.start(options)
  if (typeof json !== 'object' || json === null || (json as PacingState).controller !== controller.name) return start
  const given = json as Record<string, unknown>
  const isWhole = Object.entries(start).every(
    ([key, value]) => typeof given[key] === typeof value && (typeof value !== 'number' || Number.isFinite(given[key])),
  )
  if (!isWhole) return start
  const state = Object.fromEntries(Object.keys(start).map(key => [key, given[key]])) as unknown as PacingState
  return { ...state, multiplier: bounded(state.multiplier, options) }
}

function fresh(controller: ControllerName, options: PacingOptions = {}): PacingState {
  const start = bounded(options.start ?? 1, options)
  return {
    controller,
    multiplier: start,
    base: start,
    integral: 0,
    lastError: 0,
    slot: 0,
    committedAtSlot: 0,
    rate: 1,
    seenTarget: 0,
    seenCommitted: 0,
  }
}

/**
 * A copy of the state with the recent rate of spend per unit of target, exponentially smoothed over the curve. Throws RangeError on amounts
 * that are none.
 */
function measured(state: PacingState, seen: PacingObservation, { curve = uniform }: PacingOptions = {}): PacingState {
  check('elapsed', seen.elapsed)
  check('budgetMicros', seen.budgetMicros)
  check('spentMicros', seen.spentMicros)
  check('reservedMicros', seen.reservedMicros)
  const next = copyOf(state)
  const target = curve.at(seen.elapsed)
  const passed = target - state.seenTarget
  if (passed <= 0) return next
  const committed = shareOf(seen)
  const keep = Math.exp(-passed / SMOOTHING)
  const recent = Math.max(0, committed - state.seenCommitted) / passed
  // The first measurement has nothing to be smoothed with.
  next.rate = state.seenTarget === 0 ? recent : keep * state.rate + (1 - keep) * recent
  next.seenTarget = target
  next.seenCommitted = committed
  return next
}

/** Written out, because a step may be taken after every auction and a spread costs a hundred times as much. */
function copyOf(state: PacingState): PacingState {
  return {
    controller: state.controller,
    multiplier: state.multiplier,
    base: state.base,
    integral: state.integral,
    lastError: state.lastError,
    slot: state.slot,
    committedAtSlot: state.committedAtSlot,
    rate: state.rate,
    seenTarget: state.seenTarget,
    seenCommitted: state.seenCommitted,
  }
}

function check(name: keyof PacingObservation, value: number) {
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new RangeError(`${name} is ${value}; it must be a number, zero or more`)
}

function committedOf({ spentMicros, reservedMicros }: PacingObservation): number {
  return spentMicros + reservedMicros
}

function shareOf(seen: PacingObservation): number {
  return seen.budgetMicros > 0 ? committedOf(seen) / seen.budgetMicros : 1
}

function bounded(multiplier: number, { least = BOUNDS.least, most = BOUNDS.most }: PacingOptions = {}): number {
  return clamp(multiplier, least, most)
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}
