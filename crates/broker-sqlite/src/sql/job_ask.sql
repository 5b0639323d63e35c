-- A running job is asked to stop.
-- ?1 row  ?2 now
-- Plan: search jobs by key.
UPDATE jobs SET cancel_ms = ?2 WHERE row = ?1
