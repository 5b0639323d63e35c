-- Workers whose lease ran out lose it.
-- ?1 now  ?2 limit
-- Plan: search workers by workers_deadline.
UPDATE workers SET lost = 1 WHERE (queue, worker) IN (
  SELECT queue, worker FROM workers
  WHERE lost = 0 AND deadline_ms <= ?1 ORDER BY deadline_ms LIMIT ?2)
