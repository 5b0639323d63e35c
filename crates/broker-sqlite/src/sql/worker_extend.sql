-- A worker's lease moves, unless it was lost.
-- ?1 queue  ?2 worker  ?3 deadline
-- Plan: search workers by key.
UPDATE workers SET deadline_ms = ?3 WHERE queue = ?1 AND worker = ?2 AND lost = 0
