-- What a queue has, and what it may give.
-- ?1 queue
-- Plan: search queues by key.
SELECT paused, scheduled, queued, running, length, concurrency, rate_jobs, rate_per_ms, rate_burst, next_us
FROM queues WHERE queue = ?1
