-- The first job of an empty lane. The lane starts level with its priority's
-- virtual time: having been empty earns nothing.
-- ?1 queue  ?2 priority  ?3 tenant
-- Plan: search bands by key.
INSERT INTO lanes (queue, priority, tenant, vtime, queued)
VALUES (?1, ?2, ?3, coalesce((SELECT vtime FROM bands WHERE queue = ?1 AND priority = ?2), 0), 1)
ON CONFLICT DO UPDATE SET queued = 1, vtime = max(vtime, excluded.vtime)
