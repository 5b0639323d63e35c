-- A queued job is given to a worker: it was started in time.
-- ?1 row  ?2 worker  ?3 token
-- Plan: search jobs by key.
UPDATE jobs SET state = 'r', worker = ?2, token = ?3, expires_ms = NULL WHERE row = ?1
