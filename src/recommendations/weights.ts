import type { EventType } from '../platform/generated/prisma/enums.js'

/** How much an event says about liking a product. A rating says it by its value; a refund takes a purchase back. */
export const EVENT_WEIGHTS: Partial<Record<EventType, number>> = {
  VIEW: 1,
  CLICK: 1,
  ADD_TO_WISHLIST: 2,
  ADD_TO_CART: 3,
  REMOVE_FROM_CART: -2,
  PURCHASE: 5,
  REFUND: -5,
}

/** A rating of 3 is neutral on the scale of five stars. */
export const NEUTRAL_RATING = 3

export function weightOf(type: EventType, value: number | null): number {
  return type === 'RATING' ? (value ?? NEUTRAL_RATING) - NEUTRAL_RATING + 0.5 : (EVENT_WEIGHTS[type] ?? 0)
}

/** The same weights as an SQL expression over "Event". */
export const WEIGHT_SQL = `CASE type ${Object.entries(EVENT_WEIGHTS)
  .map(([type, weight]) => `WHEN '${type}' THEN ${weight}`)
  .join(' ')} WHEN 'RATING' THEN COALESCE(value, ${NEUTRAL_RATING}) - ${NEUTRAL_RATING} + 0.5 ELSE 0 END`
