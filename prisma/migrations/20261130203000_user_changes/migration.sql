-- CreateEnum
CREATE TYPE "UserAspect" AS ENUM ('EVENTS', 'CONSENTS', 'IDENTITY', 'SUPPRESSION', 'AUDIENCES');

-- CreateTable
CREATE TABLE "UserChange" (
    "xact" BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,
    "id" BIGSERIAL NOT NULL,
    "aspect" "UserAspect" NOT NULL,
    "userIds" INTEGER[],

    CONSTRAINT "UserChange_pkey" PRIMARY KEY ("xact","id")
);

-- Whoever adds events and says whose they are, as eventsTrack does, sets bellwether.told for the transaction. Else they may be anybody's.
CREATE FUNCTION bellwether_events_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  IF current_setting(''bellwether.told'', true) IS DISTINCT FROM ''on'' THEN INSERT INTO "UserChange" (aspect, "userIds") VALUES (''EVENTS'', NULL); END IF;
  RETURN NULL;
END';
CREATE FUNCTION bellwether_events_moved() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" (aspect, "userIds") SELECT ''EVENTS'', CASE WHEN count(*) <= 1000 THEN array_agg("userId") END
  FROM (SELECT "userId" FROM old_rows UNION SELECT "userId" FROM new_rows) users HAVING count(*) > 0;
  RETURN NULL;
END';
CREATE FUNCTION bellwether_users_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" (aspect, "userIds") SELECT TG_ARGV[0]::"UserAspect", CASE WHEN count(*) <= 1000 THEN array_agg("userId") END
  FROM (SELECT DISTINCT "userId" FROM changed_rows) users HAVING count(*) > 0;
  RETURN NULL;
END';
CREATE FUNCTION bellwether_anybody_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" (aspect, "userIds") VALUES (TG_ARGV[0]::"UserAspect", NULL);
  RETURN NULL;
END';
CREATE FUNCTION bellwether_identity_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" (aspect, "userIds") VALUES (''IDENTITY'', ARRAY[OLD.id]);
  RETURN NULL;
END';
CREATE TRIGGER events_changed AFTER INSERT OR DELETE OR TRUNCATE ON "Event" FOR EACH STATEMENT EXECUTE FUNCTION bellwether_events_changed();
CREATE TRIGGER events_moved AFTER UPDATE ON "Event" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_events_moved();
CREATE TRIGGER consents_added AFTER INSERT ON "Consent" REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_users_changed('CONSENTS');
CREATE TRIGGER consents_changed AFTER UPDATE ON "Consent" REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_users_changed('CONSENTS');
CREATE TRIGGER consents_removed AFTER DELETE ON "Consent" REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_users_changed('CONSENTS');
CREATE TRIGGER suppressions_added AFTER INSERT ON "Suppression" REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_users_changed('SUPPRESSION');
CREATE TRIGGER suppressions_changed AFTER UPDATE ON "Suppression" REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_users_changed('SUPPRESSION');
CREATE TRIGGER suppressions_removed AFTER DELETE ON "Suppression" REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_users_changed('SUPPRESSION');
CREATE TRIGGER consents_truncated AFTER TRUNCATE ON "Consent" FOR EACH STATEMENT EXECUTE FUNCTION bellwether_anybody_changed('CONSENTS');
CREATE TRIGGER suppressions_truncated AFTER TRUNCATE ON "Suppression" FOR EACH STATEMENT EXECUTE FUNCTION bellwether_anybody_changed('SUPPRESSION');
-- Audiences are built in ranges of a hundred thousand.
CREATE TRIGGER members_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON "AudienceMember" FOR EACH STATEMENT EXECUTE FUNCTION bellwether_anybody_changed('AUDIENCES');
CREATE TRIGGER user_merged AFTER UPDATE OF "mergedIntoId", "externalId" ON "User" FOR EACH ROW
  WHEN (OLD."mergedIntoId" IS DISTINCT FROM NEW."mergedIntoId" OR OLD."externalId" IS DISTINCT FROM NEW."externalId") EXECUTE FUNCTION bellwether_identity_changed();
CREATE TRIGGER users_truncated AFTER TRUNCATE ON "User" FOR EACH STATEMENT EXECUTE FUNCTION bellwether_anybody_changed('IDENTITY');
CREATE TRIGGER user_removed AFTER DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION bellwether_identity_changed();

-- Of what nothing is looked for by, PostgreSQL need not gather what it is like: while bids are made that was up to a third of its work.
ALTER TABLE "Decision" ALTER "detail" SET STATISTICS 0, ALTER "inputHash" SET STATISTICS 0, ALTER "consentBasis" SET STATISTICS 0;
ALTER TABLE "BidReservation" ALTER "context" SET STATISTICS 0, ALTER "pCtr" SET STATISTICS 0, ALTER "pCvr" SET STATISTICS 0;
ALTER TABLE "AdLogEntry" ALTER "context" SET STATISTICS 0;
ALTER TABLE "Event" ALTER "properties" SET STATISTICS 0;
