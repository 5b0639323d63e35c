-- Lanes with jobs, the most urgent first, lanes of one priority by virtual time.
-- ?1 queue  ?2 limit
-- Plan: search lanes by lanes_ready, in its order.
SELECT priority, tenant, vtime, queued FROM lanes
WHERE queue = ?1 AND queued > 0 ORDER BY priority DESC, vtime, tenant LIMIT ?2
