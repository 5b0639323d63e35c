-- A job's row, without its record.
-- ?1 id
-- Plan: search jobs by id.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits
FROM jobs j WHERE j.id = ?1
