-- Running jobs that were asked to stop at a time or before.
-- ?1 time  ?2 limit
-- Plan: search jobs by jobs_asked.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row
WHERE j.cancel_ms <= ?1 ORDER BY j.cancel_ms LIMIT ?2
