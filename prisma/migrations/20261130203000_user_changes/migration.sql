-- CreateTable
CREATE TABLE "UserChange" (
    "xact" BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,
    "id" BIGSERIAL NOT NULL,
    "userIds" INTEGER[],

    CONSTRAINT "UserChange_pkey" PRIMARY KEY ("xact","id")
);

-- Whoever adds events and says whose they are, as eventsTrack does, sets bellwether.told for the transaction. Else they may be anybody's.
CREATE FUNCTION bellwether_events_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  IF current_setting(''bellwether.told'', true) IS DISTINCT FROM ''on'' THEN INSERT INTO "UserChange" ("userIds") VALUES (NULL); END IF;
  RETURN NULL;
END';
CREATE FUNCTION bellwether_events_moved() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" ("userIds") SELECT array_agg("userId") FROM (SELECT "userId" FROM old_rows UNION SELECT "userId" FROM new_rows) users HAVING count(*) > 0;
  RETURN NULL;
END';
CREATE FUNCTION bellwether_consents_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" ("userIds") SELECT array_agg(DISTINCT "userId") FROM changed_rows HAVING count(*) > 0;
  RETURN NULL;
END';
CREATE FUNCTION bellwether_user_changed() RETURNS trigger LANGUAGE plpgsql AS E'
BEGIN
  INSERT INTO "UserChange" ("userIds") VALUES (ARRAY[OLD.id]);
  RETURN NULL;
END';
CREATE TRIGGER events_changed AFTER INSERT OR DELETE OR TRUNCATE ON "Event" FOR EACH STATEMENT EXECUTE FUNCTION bellwether_events_changed();
CREATE TRIGGER events_moved AFTER UPDATE ON "Event" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_events_moved();
CREATE TRIGGER consents_added AFTER INSERT ON "Consent" REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_consents_changed();
CREATE TRIGGER consents_changed AFTER UPDATE ON "Consent" REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_consents_changed();
CREATE TRIGGER consents_removed AFTER DELETE ON "Consent" REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION bellwether_consents_changed();
CREATE TRIGGER user_merged AFTER UPDATE OF "mergedIntoId", "externalId" ON "User" FOR EACH ROW
  WHEN (OLD."mergedIntoId" IS DISTINCT FROM NEW."mergedIntoId" OR OLD."externalId" IS DISTINCT FROM NEW."externalId") EXECUTE FUNCTION bellwether_user_changed();
CREATE TRIGGER user_removed AFTER DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION bellwether_user_changed();
