-- CreateEnum
CREATE TYPE "AudienceExportFormat" AS ENUM ('CSV', 'GOOGLE_CUSTOMER_MATCH', 'META_CUSTOM_AUDIENCES', 'TIKTOK');

-- CreateTable
CREATE TABLE "AudienceExport" (
    "id" TEXT NOT NULL,
    "audienceId" TEXT NOT NULL,
    "builtAt" TIMESTAMPTZ(3) NOT NULL,
    "format" "AudienceExportFormat" NOT NULL,
    "purpose" "Purpose" NOT NULL,
    "webhookUrl" TEXT,
    "pageSize" INTEGER NOT NULL,
    "pages" INTEGER NOT NULL DEFAULT 0,
    "lastUserId" INTEGER NOT NULL DEFAULT 0,
    "bytes" BIGINT NOT NULL DEFAULT 0,
    "counts" JSONB NOT NULL DEFAULT '{}',
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "createdBy" TEXT,
    "finishedAt" TIMESTAMPTZ(3),
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "AudienceExport_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AudienceExportPage" (
    "exportId" TEXT NOT NULL,
    "page" INTEGER NOT NULL,
    "startsAt" BIGINT NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "AudienceExportPage_pkey" PRIMARY KEY ("exportId","page")
);

-- CreateIndex
CREATE INDEX "AudienceExport_expiresAt_idx" ON "AudienceExport"("expiresAt");

-- AddForeignKey
ALTER TABLE "AudienceExportPage" ADD CONSTRAINT "AudienceExportPage_exportId_fkey" FOREIGN KEY ("exportId") REFERENCES "AudienceExport"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Files are read in ranges, packing them would cost more than it saves.
ALTER TABLE "AudienceExportPage" ALTER COLUMN data SET STORAGE EXTERNAL;
