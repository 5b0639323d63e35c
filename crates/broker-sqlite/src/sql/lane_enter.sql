-- One more in a lane that has jobs already; changes nothing in an empty one.
-- ?1 queue  ?2 priority  ?3 tenant
-- Plan: search lanes by key.
UPDATE lanes SET queued = queued + 1
WHERE queue = ?1 AND priority = ?2 AND tenant = ?3 AND queued > 0
