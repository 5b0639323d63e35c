-- A job's row and record, without its result.
-- ?1 id
-- Plan: search jobs by id, records by key.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row WHERE j.id = ?1
