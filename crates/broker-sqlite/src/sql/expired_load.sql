-- Jobs that were not started in time.
-- ?1 now  ?2 limit
-- Plan: search jobs by jobs_expires, in its order.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row
WHERE j.expires_ms <= ?1 ORDER BY j.expires_ms LIMIT ?2
