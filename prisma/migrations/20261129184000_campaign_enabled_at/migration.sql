-- AlterTable
ALTER TABLE "Campaign" ADD COLUMN     "enabledAt" TIMESTAMPTZ(3);
