-- Events that are too many.
-- ?1 row  ?2 last sequence to go
-- Plan: search events by key.
DELETE FROM events WHERE job = ?1 AND seq <= ?2
