-- A frequency cap asks for the newest bids of one person and a few campaigns.
DROP INDEX "BidReservation_userId_createdAt_idx";
CREATE INDEX "BidReservation_userId_campaignId_createdAt_idx" ON "BidReservation"("userId", "campaignId", "createdAt");

-- Only what is still held can expire. An index over all states was also taken for the frequency cap, where it read every bid there ever was.
DROP INDEX "BidReservation_state_expiresAt_idx";
CREATE INDEX "BidReservation_due_idx" ON "BidReservation"("expiresAt") WHERE state IN ('RESERVED', 'WON');
