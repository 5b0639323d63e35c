-- Whether a worker holds its lease.
-- ?1 queue  ?2 worker
-- Plan: search workers by key.
SELECT 1 FROM workers WHERE queue = ?1 AND worker = ?2 AND lost = 0
