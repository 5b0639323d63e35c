-- Lanes with jobs, the most urgent first, lanes of one priority by virtual time.
-- ?1 queue  ?2 limit
-- Plan: search lanes by lanes_ready, in its order, weights by key.
SELECT l.priority, l.tenant, l.vtime, l.queued, w.weight FROM lanes l
LEFT JOIN weights w ON w.queue = l.queue AND w.tenant = l.tenant
WHERE l.queue = ?1 AND l.queued > 0 ORDER BY l.priority DESC, l.vtime, l.tenant LIMIT ?2
