-- A worker's lease ends.
-- ?1 queue  ?2 worker
-- Plan: search workers by key.
UPDATE workers SET lost = 1 WHERE queue = ?1 AND worker = ?2
