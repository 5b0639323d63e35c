-- The first jobs of a lane.
-- ?1 queue  ?2 priority  ?3 tenant  ?4 limit
-- Plan: search jobs by jobs_lane, in its order, records by key.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM jobs j LEFT JOIN records r ON r.job = j.row
WHERE j.queue = ?1 AND j.priority = ?2 AND j.tenant = ?3 AND j.state = 'q' ORDER BY j.place LIMIT ?4
