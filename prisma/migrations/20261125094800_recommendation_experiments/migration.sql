-- CreateEnum
CREATE TYPE "ExperimentStatus" AS ENUM ('DRAFT', 'RUNNING', 'STOPPED');

-- CreateTable
CREATE TABLE "RecommendationExperiment" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "placement" TEXT,
    "salt" TEXT NOT NULL,
    "arms" JSONB NOT NULL,
    "plannedUsers" INTEGER NOT NULL,
    "status" "ExperimentStatus" NOT NULL DEFAULT 'DRAFT',
    "version" INTEGER NOT NULL DEFAULT 1,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT,
    "startedAt" TIMESTAMPTZ(3),
    "stoppedAt" TIMESTAMPTZ(3),
    "stopNote" TEXT,

    CONSTRAINT "RecommendationExperiment_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "RecommendationExposure" (
    "experimentId" TEXT NOT NULL,
    "userId" INTEGER NOT NULL,
    "arm" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "RecommendationExposure_pkey" PRIMARY KEY ("experimentId","userId")
);

-- CreateIndex
CREATE INDEX "RecommendationExperiment_createdAt_id_idx" ON "RecommendationExperiment"("createdAt", "id");

-- One experiment at a time runs in a placement.
CREATE UNIQUE INDEX "RecommendationExperiment_running_key" ON "RecommendationExperiment" (coalesce("placement", '')) WHERE "status" = 'RUNNING';

-- A learned model is dense: compressing it costs seconds and saves nothing, and whole it cannot be read in parts.
ALTER TABLE "Artifact" ALTER COLUMN "data" SET STORAGE EXTERNAL;
