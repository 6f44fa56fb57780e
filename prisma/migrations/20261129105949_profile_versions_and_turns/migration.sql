-- AlterTable
ALTER TABLE "UserProfile" ADD COLUMN     "userVersion" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "Segment" ADD COLUMN     "evaluationMs" INTEGER;

-- A clock that was put back leaves times of a later refreshment: unlike is what waits, not earlier.
DROP INDEX "UserProfile_waiting_idx";
CREATE INDEX "UserProfile_waiting_idx" ON "UserProfile"("userId") WHERE "segmentedAt" <> "refreshedAt";
