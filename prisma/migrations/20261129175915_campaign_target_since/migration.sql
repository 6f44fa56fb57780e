-- AlterTable
ALTER TABLE "Campaign" ADD COLUMN     "targetSince" TIMESTAMPTZ(3);
