-- CreateIndex
CREATE INDEX "IdentityMerge_mergedAt_idx" ON "IdentityMerge"("mergedAt");

-- CreateIndex
CREATE INDEX "IdentityMerge_undoneAt_idx" ON "IdentityMerge"("undoneAt");
