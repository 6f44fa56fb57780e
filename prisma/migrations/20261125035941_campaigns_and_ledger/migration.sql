-- AlterTable
ALTER TABLE "BiddingStrategy" ADD COLUMN     "cpcBidMicros" BIGINT,
ADD COLUMN     "shared" BOOLEAN NOT NULL DEFAULT true;

-- AlterTable
ALTER TABLE "BudgetLedger" ADD COLUMN     "seq" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "BidReservation" ADD COLUMN     "auction" TEXT NOT NULL DEFAULT 'SECOND_PRICE',
ADD COLUMN     "wonMicros" BIGINT;

-- AlterTable
ALTER TABLE "AdLogEntry" ADD COLUMN     "decisionId" TEXT;

-- CreateTable
CREATE TABLE "LedgerEntry" (
    "campaignId" TEXT NOT NULL,
    "period" TEXT NOT NULL,
    "seq" BIGINT NOT NULL,
    "limitMicros" BIGINT NOT NULL,
    "reservedMicros" BIGINT NOT NULL,
    "spentMicros" BIGINT NOT NULL,
    "reservedAfter" BIGINT NOT NULL,
    "spentAfter" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "LedgerEntry_pkey" PRIMARY KEY ("campaignId","period","seq")
);

-- CreateIndex
CREATE INDEX "BudgetLedger_period_idx" ON "BudgetLedger"("period");

-- CreateIndex
CREATE INDEX "AuctionOutcome_receivedAt_idx" ON "AuctionOutcome"("receivedAt");

-- CreateIndex
CREATE UNIQUE INDEX "AdLogEntry_decisionId_key" ON "AdLogEntry"("decisionId");

-- Money cannot be spent twice, whatever the code above does: no ledger row with more than its limit can be stored …
ALTER TABLE "BudgetLedger" ADD CONSTRAINT "BudgetLedger_within_limit"
  CHECK ("limitMicros" >= 0 AND "reservedMicros" >= 0 AND "spentMicros" >= 0 AND "spentMicros" + "reservedMicros" <= "limitMicros");
ALTER TABLE "BidReservation" ADD CONSTRAINT "BidReservation_amounts"
  CHECK ("reservedMicros" >= 0 AND "costMicros" >= 0 AND "bidMicros" >= 0 AND "costMicros" <= "bidMicros");
ALTER TABLE "Campaign" ADD CONSTRAINT "Campaign_budget" CHECK ("budgetMicros" > 0 AND "maxDailyOverdelivery" >= 1);

-- (The driver that applies migrations ends a statement at every semicolon, so those inside of functions are written as their code.)
-- … and every change of one leaves an entry, in the order in which the row was locked.
CREATE FUNCTION bellwether_ledger_number() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  NEW.seq := CASE WHEN TG_OP = ''INSERT'' THEN 1 ELSE OLD.seq + 1 END\x3b
  NEW."updatedAt" := now()\x3b
  RETURN NEW\x3b
END';
CREATE FUNCTION bellwether_ledger_journal() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "LedgerEntry" ("campaignId", period, seq, "limitMicros", "reservedMicros", "spentMicros", "reservedAfter", "spentAfter", at)
  VALUES (NEW."campaignId", NEW.period, NEW.seq, NEW."limitMicros",
    NEW."reservedMicros" - CASE WHEN TG_OP = ''INSERT'' THEN 0 ELSE OLD."reservedMicros" END,
    NEW."spentMicros" - CASE WHEN TG_OP = ''INSERT'' THEN 0 ELSE OLD."spentMicros" END,
    NEW."reservedMicros", NEW."spentMicros", clock_timestamp())\x3b
  RETURN NULL\x3b
END';
CREATE FUNCTION bellwether_journal_is_final() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  RAISE EXCEPTION ''The journal of a ledger is never changed''\x3b
END';
CREATE TRIGGER ledger_number BEFORE INSERT OR UPDATE ON "BudgetLedger" FOR EACH ROW EXECUTE FUNCTION bellwether_ledger_number();
CREATE TRIGGER ledger_journal AFTER INSERT OR UPDATE ON "BudgetLedger" FOR EACH ROW EXECUTE FUNCTION bellwether_ledger_journal();
CREATE TRIGGER journal_is_final BEFORE UPDATE ON "LedgerEntry" FOR EACH ROW EXECUTE FUNCTION bellwether_journal_is_final();
