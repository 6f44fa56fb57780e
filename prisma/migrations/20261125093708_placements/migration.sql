-- CreateTable
CREATE TABLE "Placement" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "rules" JSONB NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "archivedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedBy" TEXT NOT NULL,

    CONSTRAINT "Placement_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "PlacementVersion" (
    "placementId" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "description" TEXT,
    "rules" JSONB NOT NULL,
    "changedBy" TEXT NOT NULL,
    "changedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "PlacementVersion_pkey" PRIMARY KEY ("placementId","version")
);

-- CreateIndex
CREATE UNIQUE INDEX "Placement_name_key" ON "Placement"("name");

-- CreateIndex
CREATE INDEX "Placement_createdAt_id_idx" ON "Placement"("createdAt", "id");

-- AddForeignKey
ALTER TABLE "PlacementVersion" ADD CONSTRAINT "PlacementVersion_placementId_fkey" FOREIGN KEY ("placementId") REFERENCES "Placement"("id") ON DELETE CASCADE ON UPDATE CASCADE;
