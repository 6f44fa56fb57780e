-- AlterTable
ALTER TABLE "Review" ADD COLUMN     "brand" TEXT,
ADD COLUMN     "fingerprint" BIGINT;

-- AlterTable
ALTER TABLE "OpinionAlert" ADD COLUMN     "brand" TEXT,
ADD COLUMN     "isFalseAlarm" BOOLEAN,
ADD COLUMN     "kind" TEXT NOT NULL DEFAULT 'negative';

-- AlterTable
ALTER TABLE "FaqEntry" ADD COLUMN     "rejectedAt" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "FaqEntryVersion" (
    "entryId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "content" JSONB NOT NULL,
    "changedBy" TEXT NOT NULL,
    "changedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "FaqEntryVersion_pkey" PRIMARY KEY ("entryId","version")
);

-- CreateIndex
CREATE INDEX "Review_analysedAt_idx" ON "Review"("analysedAt");

-- CreateIndex
CREATE INDEX "Review_fingerprint_idx" ON "Review"("fingerprint");

-- CreateIndex
CREATE INDEX "TextCorrection_reviewId_idx" ON "TextCorrection"("reviewId");
