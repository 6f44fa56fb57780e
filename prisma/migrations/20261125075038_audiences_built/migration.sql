-- AlterTable
ALTER TABLE "Audience" ADD COLUMN     "archivedAt" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "AudienceCandidate" ADD COLUMN     "reason" TEXT;
