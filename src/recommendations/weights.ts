import type { EventType } from '../platform/generated/prisma/enums.js'

/** How much an event says about liking a product. A rating says it by its value; a refund takes a purchase back. */
const EVENT_WEIGHTS: Partial<Record<EventType, number>> = {
  VIEW: 1,
  CLICK: 1,
  ADD_TO_WISHLIST: 2,
  ADD_TO_CART: 3,
  REMOVE_FROM_CART: -2,
  PURCHASE: 5,
  REFUND: -5,
}

/** On the scale of five stars a rating of 3 says a little, and of 2 speaks against. Other scales count no more than a purchase does. */
const RATING_WEIGHT = 'LEAST(GREATEST(COALESCE(value, 3) - 2.5, -5), 5)'

/** The weight of a row of "Event" as an SQL expression. */
export const WEIGHT_SQL = `CASE type ${Object.entries(EVENT_WEIGHTS)
  .map(([type, weight]) => `WHEN '${type}' THEN ${weight}`)
  .join(' ')} WHEN 'RATING' THEN ${RATING_WEIGHT} ELSE 0 END`

/** The types that say something; being shown a product (IMPRESSION) is not one of them. As an SQL list. */
export const TELLING_TYPES_SQL = `(${[...Object.keys(EVENT_WEIGHTS), 'RATING'].map(type => `'${type}'`).join(', ')})`
