-- Empty lanes that would start level with their priority anyway.
-- ?1 limit
-- Plan: search lanes by lanes_idle for each of bands, which are few.
DELETE FROM lanes WHERE (queue, priority, tenant) IN (
  SELECT idle.queue, idle.priority, idle.tenant FROM bands
  CROSS JOIN lanes idle ON idle.queue = bands.queue AND idle.priority = bands.priority
  WHERE idle.queued = 0 AND idle.vtime <= bands.vtime LIMIT ?1)
