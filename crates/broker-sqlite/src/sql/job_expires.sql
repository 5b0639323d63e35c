-- When a job ends that is not started by then.
-- ?1 row  ?2 expires
-- Plan: search jobs by key.
UPDATE jobs SET expires_ms = ?2 WHERE row = ?1
