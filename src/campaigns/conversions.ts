// SQL over an impression `e` of the log, its campaign `c` and the product `p` of its ad.

/** Until when a conversion counts for the impression. */
export const LAST_CONVERSION = `COALESCE(e."clickedAt", e."occurredAt") + make_interval(days => c."attributionDays")`

/** Whether a conversion that was told with the impression itself came in time. */
export const CONVERTED_IN_TIME = `(e.converted AND COALESCE(e."convertedAt", e."occurredAt") <= ${LAST_CONVERSION})`

/** The conversions of a bid that count; what follows needs it. */
export const CONVERSIONS = `
  LEFT JOIN LATERAL (
    SELECT count(*)::int AS conversions, COALESCE(sum(o."amountMicros"), 0)::bigint AS value, count(*) FILTER (WHERE o."amountMicros" IS NULL) AS unvalued
    FROM "AuctionOutcome" o WHERE e."decisionId" IS NOT NULL AND o."decisionId" = e."decisionId" AND o.type = 'CONVERSION' AND o."occurredAt" <= ${LAST_CONVERSION}
  ) own ON true`

export const CONVERTED = `CASE WHEN e."decisionId" IS NOT NULL THEN own.conversions WHEN ${CONVERTED_IN_TIME} THEN 1 ELSE 0 END`

/** What bids take a conversion for, and what one is worth that was told without a value; 0 where nothing is known. */
export const USUAL_WORTH = `COALESCE(c."conversionValueMicros", CASE WHEN p."currencyCode" = c."budgetCurrencyCode" THEN p."priceMicros" END, 0)`

export const CONVERTED_VALUE = `CASE WHEN e."decisionId" IS NOT NULL THEN own.value + own.unvalued * ${USUAL_WORTH}
  WHEN ${CONVERTED_IN_TIME} THEN COALESCE(NULLIF(e."conversionValueMicros", 0), ${USUAL_WORTH}) ELSE 0 END`
