-- Whether a queue is paused, and how many it has queued.
-- ?1 queue
-- Plan: search queues by key.
SELECT paused, queued FROM queues WHERE queue = ?1
