-- DropIndex
DROP INDEX "Review_fingerprint_idx";

-- CreateIndex
CREATE INDEX "Review_fingerprint_createdAt_idx" ON "Review"("fingerprint", "createdAt");
