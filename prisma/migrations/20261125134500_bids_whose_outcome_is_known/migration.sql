-- The newest bids of which is known what came of them: the win curve and the market are learned from these. A reservation that is made is not in the index yet, so bidding does not pay for it.
CREATE INDEX "BidReservation_known_idx" ON "BidReservation"("createdAt") WHERE "minToWinMicros" IS NOT NULL OR state IN ('WON', 'COMMITTED', 'UNFUNDED', 'RELEASED');
