-- A queue stops or goes on giving jobs.
-- ?1 queue  ?2 paused
-- Plan: search queues by key.
UPDATE queues SET paused = ?2 WHERE queue = ?1
