-- A job's row and record, without its result.
-- ?1 row
-- Plan: search jobs by key, records by key.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row WHERE j.row = ?1
