-- Whether a queue has jobs that wait for one of its running ones to end.
-- ?1 queue
-- Plan: search queues by key.
SELECT 1 FROM queues WHERE queue = ?1 AND concurrency IS NOT NULL AND queued > 0
