-- A worker's lease begins, or begins again where it was not lost.
-- ?1 queue  ?2 worker  ?3 deadline
-- Plan: search workers by key.
INSERT INTO workers (queue, worker, deadline_ms) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET deadline_ms = excluded.deadline_ms WHERE lost = 0
