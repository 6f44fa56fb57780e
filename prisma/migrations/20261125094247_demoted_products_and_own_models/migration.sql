-- AlterTable
ALTER TABLE "Product" ADD COLUMN     "demotedAt" TIMESTAMPTZ(3),
ADD COLUMN     "demotedBy" TEXT;

-- CreateTable
CREATE TABLE "TextModelFile" (
    "task" "ModelTask" NOT NULL,
    "name" TEXT NOT NULL,
    "files" BYTEA NOT NULL,
    "createdBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "TextModelFile_pkey" PRIMARY KEY ("task")
);
