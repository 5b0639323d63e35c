-- The first and the last event kept of a job; nulls where there is none.
-- ?1 row
-- Plan: the ends of events by key.
SELECT (SELECT min(seq) FROM events WHERE job = ?1), (SELECT max(seq) FROM events WHERE job = ?1)
