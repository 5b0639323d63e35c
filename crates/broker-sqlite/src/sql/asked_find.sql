-- Jobs of a worker that are to stop.
-- ?1 queue  ?2 worker
-- Plan: search jobs by jobs_asked_of.
SELECT id, token FROM jobs INDEXED BY jobs_asked_of
WHERE queue = ?1 AND worker = ?2 AND cancel_ms IS NOT NULL
