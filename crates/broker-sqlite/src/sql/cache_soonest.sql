-- Drops the value that ends soonest. Every time is above 0: so SQLite seeks.
DELETE FROM cache WHERE row = (
  SELECT row FROM cache WHERE value IS NOT NULL AND until_ms > 0 ORDER BY until_ms LIMIT 1
);
