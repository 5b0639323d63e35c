-- Running jobs of lost workers.
-- ?1 limit
-- Plan: scan workers_lost, search jobs by jobs_held.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits, r.record
FROM workers w
CROSS JOIN jobs j ON j.queue = w.queue AND j.worker = w.worker
LEFT JOIN records r ON r.job = j.row
WHERE w.lost = 1 LIMIT ?1
