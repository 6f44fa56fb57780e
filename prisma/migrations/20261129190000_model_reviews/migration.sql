-- CreateEnum
CREATE TYPE "ModelReviewVerdict" AS ENUM ('APPROVED', 'REJECTED', 'ROLLED_BACK');

-- CreateTable
CREATE TABLE "ModelReview" (
    "id" TEXT NOT NULL,
    "modelId" TEXT NOT NULL,
    "verdict" "ModelReviewVerdict" NOT NULL,
    "status" "ModelStatus" NOT NULL,
    "by" TEXT NOT NULL,
    "note" TEXT,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "ModelReview_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "ModelReview_modelId_at_idx" ON "ModelReview"("modelId", "at");

-- AddForeignKey
ALTER TABLE "ModelReview" ADD CONSTRAINT "ModelReview_modelId_fkey" FOREIGN KEY ("modelId") REFERENCES "Model"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Of models that were reviewed before, the last review is known.
INSERT INTO "ModelReview" (id, "modelId", verdict, status, by, note, at)
SELECT id, id, (CASE WHEN status = 'REJECTED' THEN 'REJECTED' ELSE 'APPROVED' END)::"ModelReviewVerdict",
  CASE WHEN status = 'RETIRED' THEN 'LIVE' ELSE status END, "reviewedBy", "reviewNote", "reviewedAt"
FROM "Model" WHERE "reviewedBy" IS NOT NULL AND "reviewedAt" IS NOT NULL;
