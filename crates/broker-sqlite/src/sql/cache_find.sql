-- The entry of a key.
-- ?1 name
SELECT token, until_ms, value FROM cache WHERE name = ?1;
