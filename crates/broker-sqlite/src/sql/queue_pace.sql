-- When a queue's rate expects its next job.
-- ?1 queue  ?2 microseconds
-- Plan: search queues by key.
UPDATE queues SET next_us = ?2 WHERE queue = ?1
