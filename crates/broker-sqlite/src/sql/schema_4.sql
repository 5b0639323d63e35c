-- Schema 4: values made once and shared for a time.

-- While `token` is set the value is being made, until `until_ms` unless renewed.
CREATE TABLE cache (
  row INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  token BLOB,
  until_ms INTEGER NOT NULL,
  value BLOB CHECK ((value IS NULL) = (token IS NOT NULL))
) STRICT;
CREATE INDEX cache_until ON cache (until_ms);
CREATE INDEX cache_soonest ON cache (until_ms) WHERE value IS NOT NULL;

-- What the cache did, by shelf.
CREATE TABLE cache_counts (
  shelf TEXT PRIMARY KEY,
  hits INTEGER NOT NULL DEFAULT 0,
  shared INTEGER NOT NULL DEFAULT 0,
  misses INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What the cache holds: one row.
CREATE TABLE cache_size (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  kept INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO cache_size VALUES (1, 0, 0);

CREATE TRIGGER cache_in AFTER UPDATE OF value ON cache
WHEN new.value IS NOT NULL AND old.value IS NULL BEGIN
  UPDATE cache_size SET kept = kept + 1, bytes = bytes + length(new.value);
END;
CREATE TRIGGER cache_out AFTER DELETE ON cache
WHEN old.value IS NOT NULL BEGIN
  UPDATE cache_size SET kept = kept - 1, bytes = bytes - length(old.value);
END;
