-- DropIndex
DROP INDEX "Job_parentId_idx";

-- AlterTable
ALTER TABLE "Job" ADD COLUMN     "crashes" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "part" INTEGER,
ADD COLUMN     "parts" INTEGER;

-- CreateIndex
CREATE INDEX "Job_parentId_state_idx" ON "Job"("parentId", "state");
