-- The bytes of an upload live for minutes: packing and unpacking them costs more than the room it saves.
ALTER TABLE "ImportChunk" ALTER COLUMN data SET STORAGE EXTERNAL;
