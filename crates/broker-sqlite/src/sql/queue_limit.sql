-- Limits of a queue; a rate that is another one starts anew.
-- ?1 queue  ?2 concurrency  ?3 jobs  ?4 per  ?5 burst  ?6 length
-- Plan: search queues by key.
UPDATE queues SET
  next_us = CASE WHEN rate_jobs IS ?3 AND rate_per_ms IS ?4 AND rate_burst IS ?5 THEN next_us ELSE 0 END,
  concurrency = ?2, rate_jobs = ?3, rate_per_ms = ?4, rate_burst = ?5, length = ?6
WHERE queue = ?1
