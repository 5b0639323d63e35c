-- Jobs of a worker that are to stop.
-- ?1 queue  ?2 worker
-- Plan: search jobs by jobs_held.
SELECT id, token FROM jobs INDEXED BY jobs_held
WHERE queue = ?1 AND worker = ?2 AND cancel_ms IS NOT NULL
