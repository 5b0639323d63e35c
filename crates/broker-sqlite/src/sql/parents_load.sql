-- Waiting jobs of which a job is a child.
-- ?1 id
-- Plan: search children by children_parents, jobs by key.
SELECT j.row, j.id, j.queue, j.state, j.place, j.token, j.settled, j.idempotency,
  j.cancel_ms, j.gone_ms, j.progress, j.child, j.waits
FROM children c JOIN jobs j ON j.row = c.parent
WHERE c.child = ?1 AND j.state = 'w' AND j.waits IS NOT NULL
