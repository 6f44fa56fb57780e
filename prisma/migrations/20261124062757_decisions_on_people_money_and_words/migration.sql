-- CreateEnum
CREATE TYPE "SegmentStatus" AS ENUM ('READY', 'EVALUATING', 'FAILED');

-- CreateEnum
CREATE TYPE "AudienceSource" AS ENUM ('SEGMENT', 'LOOKALIKE', 'PRODUCT_AFFINITY', 'MODEL_SCORE');

-- CreateEnum
CREATE TYPE "AudienceStatus" AS ENUM ('BUILDING', 'READY', 'FAILED');

-- CreateEnum
CREATE TYPE "ReservationState" AS ENUM ('RESERVED', 'WON', 'COMMITTED', 'RELEASED', 'EXPIRED', 'UNFUNDED');

-- AlterTable
ALTER TABLE "User" ADD COLUMN     "mergedIntoId" INTEGER,
ADD COLUMN     "timeZone" TEXT;

-- AlterTable
ALTER TABLE "Review" ADD COLUMN     "analysedAt" TIMESTAMPTZ(3),
ADD COLUMN     "aspects" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN     "confidence" DOUBLE PRECISION,
ADD COLUMN     "ignoredBecause" TEXT,
ADD COLUMN     "intent" TEXT,
ADD COLUMN     "intentConfidence" DOUBLE PRECISION,
ADD COLUMN     "score" DOUBLE PRECISION,
ADD COLUMN     "sentiment" TEXT,
ADD COLUMN     "sentimentModelId" TEXT,
ADD COLUMN     "source" TEXT NOT NULL DEFAULT 'review';

-- AlterTable
ALTER TABLE "FaqEntry" ADD COLUMN     "approvedBy" TEXT,
ADD COLUMN     "origin" TEXT NOT NULL DEFAULT 'person';

-- AlterTable
ALTER TABLE "BiddingStrategy" ADD COLUMN     "cpcBidCeilingMicros" BIGINT,
ADD COLUMN     "cpcBidFloorMicros" BIGINT,
ADD COLUMN     "cpmBidMicros" BIGINT,
ADD COLUMN     "currencyCode" CHAR(3) NOT NULL DEFAULT 'EUR',
ADD COLUMN     "targetCpaMicros" BIGINT,
ADD COLUMN     "targetRoas" DOUBLE PRECISION,
ADD COLUMN     "updatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- AlterTable
ALTER TABLE "Campaign" ADD COLUMN     "attributionDays" INTEGER NOT NULL DEFAULT 30,
ADD COLUMN     "audienceId" TEXT,
ADD COLUMN     "contextual" JSONB NOT NULL DEFAULT '{}',
ADD COLUMN     "conversionValueMicros" BIGINT,
ADD COLUMN     "createdBy" TEXT,
ADD COLUMN     "excludedAudienceIds" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "frequencyCap" JSONB,
ADD COLUMN     "learningSince" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "maxDailyOverdelivery" DOUBLE PRECISION NOT NULL DEFAULT 1,
ADD COLUMN     "pacingController" TEXT NOT NULL DEFAULT 'PID',
ADD COLUMN     "schedule" JSONB NOT NULL DEFAULT '[]',
ADD COLUMN     "updatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- AlterTable
ALTER TABLE "AdGroup" ADD COLUMN     "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- AlterTable
ALTER TABLE "Ad" ADD COLUMN     "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- AlterTable
ALTER TABLE "AdLogEntry" ADD COLUMN     "clickedAt" TIMESTAMPTZ(3),
ADD COLUMN     "conversionValueMicros" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "convertedAt" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "Job" ADD COLUMN     "parentId" TEXT;

-- CreateTable
CREATE TABLE "IdentityMerge" (
    "id" TEXT NOT NULL,
    "fromUserId" INTEGER NOT NULL,
    "intoUserId" INTEGER NOT NULL,
    "evidence" TEXT NOT NULL,
    "moved" JSONB NOT NULL,
    "mergedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "undoneAt" TIMESTAMPTZ(3),

    CONSTRAINT "IdentityMerge_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "UserProfile" (
    "userId" INTEGER NOT NULL,
    "refreshedAt" TIMESTAMPTZ(3) NOT NULL,
    "eventCount" INTEGER NOT NULL,
    "lastEventId" BIGINT NOT NULL,
    "firstEventAt" TIMESTAMPTZ(3),
    "lastEventAt" TIMESTAMPTZ(3),
    "firstOrderAt" TIMESTAMPTZ(3),
    "lastOrderAt" TIMESTAMPTZ(3),
    "orderDays" INTEGER NOT NULL,
    "monetaryMicros" BIGINT NOT NULL,
    "featureVersion" INTEGER NOT NULL,
    "features" DOUBLE PRECISION[],
    "categories" JSONB NOT NULL,
    "brands" JSONB NOT NULL,
    "channels" JSONB NOT NULL,
    "hours" INTEGER[],
    "isBot" BOOLEAN NOT NULL DEFAULT false,
    "leftOut" JSONB NOT NULL DEFAULT '{}',
    "recencyScore" INTEGER,
    "frequencyScore" INTEGER,
    "monetaryScore" INTEGER,
    "rfmGroup" TEXT,
    "clusterKey" TEXT,
    "churn" DOUBLE PRECISION,
    "churnLow" DOUBLE PRECISION,
    "churnHigh" DOUBLE PRECISION,
    "purchase" DOUBLE PRECISION,
    "purchaseLow" DOUBLE PRECISION,
    "purchaseHigh" DOUBLE PRECISION,
    "lifetimeValueMicros" BIGINT,
    "lifetimeValueLow" BIGINT,
    "lifetimeValueHigh" BIGINT,
    "nextOrderAt" TIMESTAMPTZ(3),
    "scoredAt" TIMESTAMPTZ(3),

    CONSTRAINT "UserProfile_pkey" PRIMARY KEY ("userId")
);

-- CreateTable
CREATE TABLE "Segment" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "rule" JSONB NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "status" "SegmentStatus" NOT NULL DEFAULT 'EVALUATING',
    "failure" TEXT,
    "size" INTEGER NOT NULL DEFAULT 0,
    "evaluatedVersion" INTEGER NOT NULL DEFAULT 0,
    "evaluatedAt" TIMESTAMPTZ(3),
    "changedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT,
    "archivedAt" TIMESTAMPTZ(3),

    CONSTRAINT "Segment_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "SegmentMember" (
    "segmentId" TEXT NOT NULL,
    "userId" INTEGER NOT NULL,
    "joinedAt" TIMESTAMPTZ(3) NOT NULL,
    "leftAt" TIMESTAMPTZ(3),

    CONSTRAINT "SegmentMember_pkey" PRIMARY KEY ("segmentId","userId","joinedAt")
);

-- CreateTable
CREATE TABLE "Audience" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "source" "AudienceSource" NOT NULL,
    "definition" JSONB NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "status" "AudienceStatus" NOT NULL DEFAULT 'BUILDING',
    "failure" TEXT,
    "size" INTEGER NOT NULL DEFAULT 0,
    "excluded" JSONB NOT NULL DEFAULT '[]',
    "detail" JSONB NOT NULL DEFAULT '{}',
    "jobId" TEXT,
    "builtAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT,

    CONSTRAINT "Audience_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AudienceMember" (
    "audienceId" TEXT NOT NULL,
    "userId" INTEGER NOT NULL,
    "score" DOUBLE PRECISION NOT NULL DEFAULT 1,

    CONSTRAINT "AudienceMember_pkey" PRIMARY KEY ("audienceId","userId")
);

-- CreateTable
CREATE TABLE "AudienceCandidate" (
    "audienceId" TEXT NOT NULL,
    "userId" INTEGER NOT NULL,
    "score" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "AudienceCandidate_pkey" PRIMARY KEY ("audienceId","userId")
);

-- CreateTable
CREATE TABLE "Suppression" (
    "userId" INTEGER NOT NULL,
    "reason" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Suppression_pkey" PRIMARY KEY ("userId")
);

-- CreateTable
CREATE TABLE "TextCorrection" (
    "id" TEXT NOT NULL,
    "reviewId" TEXT,
    "text" TEXT NOT NULL,
    "locale" TEXT NOT NULL,
    "task" TEXT NOT NULL,
    "label" TEXT NOT NULL,
    "predicted" TEXT,
    "createdBy" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "TextCorrection_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "OpinionAlert" (
    "id" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "productId" INTEGER,
    "category" TEXT,
    "startedAt" TIMESTAMPTZ(3) NOT NULL,
    "endedAt" TIMESTAMPTZ(3) NOT NULL,
    "severity" DOUBLE PRECISION NOT NULL,
    "observed" INTEGER NOT NULL,
    "expected" DOUBLE PRECISION NOT NULL,
    "terms" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "sampleIds" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "proposals" JSONB NOT NULL DEFAULT '[]',
    "acknowledgedBy" TEXT,
    "acknowledgedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "OpinionAlert_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "FaqQuestion" (
    "id" TEXT NOT NULL,
    "text" TEXT NOT NULL,
    "locale" TEXT NOT NULL,
    "channel" TEXT,
    "conversationId" TEXT,
    "outcome" TEXT NOT NULL,
    "entryId" TEXT,
    "confidence" DOUBLE PRECISION,
    "helpful" BOOLEAN,
    "feedback" TEXT,
    "drafted" BOOLEAN NOT NULL DEFAULT false,
    "askedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "FaqQuestion_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "FaqTicket" (
    "id" TEXT NOT NULL,
    "questionId" TEXT NOT NULL,
    "conversationId" TEXT,
    "reason" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "closedAt" TIMESTAMPTZ(3),

    CONSTRAINT "FaqTicket_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "BudgetLedger" (
    "campaignId" TEXT NOT NULL,
    "period" TEXT NOT NULL,
    "limitMicros" BIGINT NOT NULL,
    "reservedMicros" BIGINT NOT NULL DEFAULT 0,
    "spentMicros" BIGINT NOT NULL DEFAULT 0,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "BudgetLedger_pkey" PRIMARY KEY ("campaignId","period")
);

-- CreateTable
CREATE TABLE "CampaignPacing" (
    "campaignId" TEXT NOT NULL,
    "period" TEXT NOT NULL,
    "multiplier" DOUBLE PRECISION NOT NULL DEFAULT 1,
    "state" JSONB NOT NULL DEFAULT '{}',
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "CampaignPacing_pkey" PRIMARY KEY ("campaignId")
);

-- CreateTable
CREATE TABLE "BidReservation" (
    "id" TEXT NOT NULL,
    "campaignId" TEXT NOT NULL,
    "period" TEXT NOT NULL,
    "adId" INTEGER NOT NULL,
    "userId" INTEGER,
    "state" "ReservationState" NOT NULL DEFAULT 'RESERVED',
    "reservedMicros" BIGINT NOT NULL,
    "costMicros" BIGINT NOT NULL DEFAULT 0,
    "bidMicros" BIGINT NOT NULL,
    "pCtr" DOUBLE PRECISION NOT NULL,
    "pCvr" DOUBLE PRECISION NOT NULL,
    "modelId" TEXT,
    "context" JSONB NOT NULL DEFAULT '{}',
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,
    "settledAt" TIMESTAMPTZ(3),
    "minToWinMicros" BIGINT,

    CONSTRAINT "BidReservation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AuctionOutcome" (
    "decisionId" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "reference" TEXT NOT NULL DEFAULT '',
    "amountMicros" BIGINT,
    "occurredAt" TIMESTAMPTZ(3) NOT NULL,
    "receivedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "result" TEXT NOT NULL,

    CONSTRAINT "AuctionOutcome_pkey" PRIMARY KEY ("decisionId","type","reference")
);

-- CreateIndex
CREATE INDEX "IdentityMerge_intoUserId_idx" ON "IdentityMerge"("intoUserId");

-- CreateIndex
CREATE INDEX "IdentityMerge_fromUserId_idx" ON "IdentityMerge"("fromUserId");

-- CreateIndex
CREATE INDEX "UserProfile_refreshedAt_idx" ON "UserProfile"("refreshedAt");

-- CreateIndex
CREATE INDEX "UserProfile_churn_idx" ON "UserProfile"("churn");

-- CreateIndex
CREATE INDEX "UserProfile_purchase_idx" ON "UserProfile"("purchase");

-- CreateIndex
CREATE INDEX "UserProfile_lifetimeValueMicros_idx" ON "UserProfile"("lifetimeValueMicros");

-- CreateIndex
CREATE INDEX "UserProfile_clusterKey_idx" ON "UserProfile"("clusterKey");

-- CreateIndex
CREATE INDEX "Segment_createdAt_id_idx" ON "Segment"("createdAt", "id");

-- CreateIndex
CREATE INDEX "SegmentMember_userId_leftAt_idx" ON "SegmentMember"("userId", "leftAt");

-- CreateIndex
CREATE INDEX "SegmentMember_segmentId_leftAt_userId_idx" ON "SegmentMember"("segmentId", "leftAt", "userId");

-- CreateIndex
CREATE INDEX "Audience_createdAt_id_idx" ON "Audience"("createdAt", "id");

-- CreateIndex
CREATE INDEX "AudienceMember_userId_idx" ON "AudienceMember"("userId");

-- CreateIndex
CREATE INDEX "AudienceMember_audienceId_score_userId_idx" ON "AudienceMember"("audienceId", "score" DESC, "userId");

-- CreateIndex
CREATE INDEX "TextCorrection_task_createdAt_idx" ON "TextCorrection"("task", "createdAt");

-- CreateIndex
CREATE INDEX "OpinionAlert_startedAt_id_idx" ON "OpinionAlert"("startedAt", "id");

-- CreateIndex
CREATE UNIQUE INDEX "OpinionAlert_subject_startedAt_key" ON "OpinionAlert"("subject", "startedAt");

-- CreateIndex
CREATE INDEX "FaqQuestion_askedAt_idx" ON "FaqQuestion"("askedAt");

-- CreateIndex
CREATE INDEX "FaqQuestion_conversationId_askedAt_idx" ON "FaqQuestion"("conversationId", "askedAt");

-- CreateIndex
CREATE INDEX "FaqQuestion_outcome_drafted_idx" ON "FaqQuestion"("outcome", "drafted");

-- CreateIndex
CREATE INDEX "FaqTicket_createdAt_id_idx" ON "FaqTicket"("createdAt", "id");

-- CreateIndex
CREATE INDEX "BidReservation_campaignId_createdAt_idx" ON "BidReservation"("campaignId", "createdAt");

-- CreateIndex
CREATE INDEX "BidReservation_userId_createdAt_idx" ON "BidReservation"("userId", "createdAt");

-- CreateIndex
CREATE INDEX "BidReservation_state_expiresAt_idx" ON "BidReservation"("state", "expiresAt");

-- CreateIndex
CREATE INDEX "Event_receivedAt_idx" ON "Event" USING BRIN ("receivedAt");

-- CreateIndex
CREATE INDEX "Review_userId_idx" ON "Review"("userId");

-- CreateIndex
CREATE INDEX "FaqEntry_createdAt_id_idx" ON "FaqEntry"("createdAt", "id");

-- CreateIndex
CREATE INDEX "FaqEntry_status_idx" ON "FaqEntry"("status");

-- CreateIndex
CREATE INDEX "BiddingStrategy_createdAt_id_idx" ON "BiddingStrategy"("createdAt", "id");

-- CreateIndex
CREATE INDEX "Campaign_status_idx" ON "Campaign"("status");

-- CreateIndex
CREATE INDEX "AdLogEntry_userId_occurredAt_idx" ON "AdLogEntry"("userId", "occurredAt");

-- CreateIndex
CREATE INDEX "Job_parentId_idx" ON "Job"("parentId");

-- AddForeignKey
ALTER TABLE "UserProfile" ADD CONSTRAINT "UserProfile_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "SegmentMember" ADD CONSTRAINT "SegmentMember_segmentId_fkey" FOREIGN KEY ("segmentId") REFERENCES "Segment"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AudienceMember" ADD CONSTRAINT "AudienceMember_audienceId_fkey" FOREIGN KEY ("audienceId") REFERENCES "Audience"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "BudgetLedger" ADD CONSTRAINT "BudgetLedger_campaignId_fkey" FOREIGN KEY ("campaignId") REFERENCES "Campaign"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "CampaignPacing" ADD CONSTRAINT "CampaignPacing_campaignId_fkey" FOREIGN KEY ("campaignId") REFERENCES "Campaign"("id") ON DELETE CASCADE ON UPDATE CASCADE;
