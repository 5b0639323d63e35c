-- Finished jobs past their time, with all that hangs on them.
-- ?1 now  ?2 limit
-- Plan: search jobs by jobs_gone.
DELETE FROM jobs WHERE row IN (SELECT row FROM jobs WHERE gone_ms <= ?1 ORDER BY gone_ms LIMIT ?2)
