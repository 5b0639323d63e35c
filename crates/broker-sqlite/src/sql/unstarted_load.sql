-- Jobs that are neither running nor over, to make a newer schema of an older one.
-- Plan: search jobs by jobs_state, records by key.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row WHERE j.state IN ('s', 'q', 'w')
