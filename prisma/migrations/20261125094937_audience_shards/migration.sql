-- DropForeignKey
ALTER TABLE "AudienceMember" DROP CONSTRAINT "AudienceMember_audienceId_fkey";

-- DropTable
DROP TABLE "AudienceCandidate";

-- CreateTable
CREATE TABLE "AudienceShard" (
    "audienceId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "low" INTEGER NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "AudienceShard_pkey" PRIMARY KEY ("audienceId","version","low")
);

-- Scores do not pack well, and are read once.
ALTER TABLE "AudienceShard" ALTER COLUMN data SET STORAGE EXTERNAL;
