-- What each queue holds.
-- Plan: scan queues; they are few.
SELECT queue, paused, scheduled, queued, running, waiting,
  succeeded_total, failed_total, cancelled_total,
  length, concurrency, rate_jobs, rate_per_ms, rate_burst
FROM queues ORDER BY queue
