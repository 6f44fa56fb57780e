-- AlterTable
ALTER TABLE "UserProfile" ADD COLUMN     "segmentedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT '1970-01-01 00:00:00 +00:00';

-- CreateIndex
CREATE INDEX "User_updatedAt_idx" ON "User"("updatedAt");

-- Users whose segments wait to be looked at.
CREATE INDEX "UserProfile_waiting_idx" ON "UserProfile"("userId") WHERE "segmentedAt" < "refreshedAt";

-- A user stays in a segment at most once at a time, however many evaluations run.
CREATE UNIQUE INDEX "SegmentMember_current_idx" ON "SegmentMember"("segmentId", "userId") WHERE "leftAt" IS NULL;

-- DropForeignKey
ALTER TABLE "SegmentMember" DROP CONSTRAINT "SegmentMember_segmentId_fkey";

-- DropIndex
DROP INDEX "SegmentMember_userId_leftAt_idx";

-- DropIndex
DROP INDEX "SegmentMember_segmentId_leftAt_userId_idx";

-- The segments a user is in now.
CREATE INDEX "SegmentMember_user_current_idx" ON "SegmentMember"("userId") WHERE "leftAt" IS NULL;
