-- AlterTable
ALTER TABLE "Decision" ADD COLUMN "sameAs" TEXT, ALTER COLUMN "detail" DROP NOT NULL;
