-- Drops what a key has, held or kept.
-- ?1 name
DELETE FROM cache WHERE name = ?1;
