-- AlterTable
ALTER TABLE "FaqEntry" ADD COLUMN     "approvedAt" TIMESTAMPTZ(3),
ADD COLUMN     "approvedVersion" INTEGER;

-- AlterTable
ALTER TABLE "FaqQuestion" ADD COLUMN     "candidates" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "reason" TEXT;

-- AlterTable
ALTER TABLE "FaqTicket" ADD COLUMN     "closedBy" TEXT;

-- What is approved answers.
UPDATE "FaqEntry" SET "approvedVersion" = version WHERE status = 'APPROVED';
