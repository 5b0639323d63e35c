-- Lost workers that hold nothing any more.
-- Plan: scan workers_lost, search jobs by jobs_held.
DELETE FROM workers WHERE lost = 1 AND NOT EXISTS (
  SELECT 1 FROM jobs WHERE jobs.queue = workers.queue AND jobs.worker = workers.worker)
