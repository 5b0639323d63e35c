-- Scheduled and waiting jobs that are due.
-- ?1 queue  ?2 now  ?3 limit
-- Plan: search jobs by jobs_due, in its order.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row
WHERE j.queue = ?1 AND j.due_ms <= ?2 ORDER BY j.due_ms, j.id LIMIT ?3
