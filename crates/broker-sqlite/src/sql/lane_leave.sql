-- Jobs leave a lane; those that were given move its virtual time.
-- ?1 queue  ?2 priority  ?3 tenant  ?4 leaving  ?5 virtual time
-- Plan: search lanes by key.
UPDATE lanes SET queued = queued - ?4, vtime = vtime + ?5
WHERE queue = ?1 AND priority = ?2 AND tenant = ?3
