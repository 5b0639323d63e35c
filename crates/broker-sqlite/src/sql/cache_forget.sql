-- Drops what is past its time.
-- ?1 now ms   ?2 at most so many
DELETE FROM cache WHERE row IN (SELECT row FROM cache WHERE until_ms <= ?1 LIMIT ?2);
