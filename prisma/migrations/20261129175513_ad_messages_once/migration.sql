-- AlterTable
ALTER TABLE "AdLogEntry" ADD COLUMN     "clickMessageId" TEXT,
ADD COLUMN     "conversionMessageId" TEXT;
