-- The jobs a worker holds.
-- ?1 queue  ?2 worker
-- Plan: search jobs by jobs_held, records by key.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row WHERE j.queue = ?1 AND j.worker = ?2
