-- AlterTable
ALTER TABLE "OpinionAlert" ADD COLUMN     "subjects" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "toldUntil" JSONB NOT NULL DEFAULT '{}';

-- CreateTable
CREATE TABLE "ActionReceipt" (
    "key" TEXT NOT NULL,
    "note" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ActionReceipt_pkey" PRIMARY KEY ("key")
);

-- Alerts of before stand for their own subject.
UPDATE "OpinionAlert" SET "subjects" = ARRAY["subject"],
  "toldUntil" = jsonb_build_object("subject", to_char("endedAt" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
