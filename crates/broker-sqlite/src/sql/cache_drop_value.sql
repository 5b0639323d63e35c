-- Drops the value of a key.
-- ?1 name
DELETE FROM cache WHERE name = ?1 AND value IS NOT NULL;
