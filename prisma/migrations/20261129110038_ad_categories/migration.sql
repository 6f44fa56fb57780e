-- AlterTable
ALTER TABLE "Ad" ADD COLUMN     "iabCategories" TEXT[] DEFAULT ARRAY[]::TEXT[];
