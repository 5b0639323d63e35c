-- A job of a newer program is left to it for a while, whoever held it.
-- ?1 row  ?2 due
-- Plan: search jobs by key.
UPDATE jobs SET
  state = 'w', due_ms = ?2, expires_ms = NULL, waits = NULL,
  worker = NULL, token = NULL, cancel_ms = NULL, progress = NULL
WHERE row = ?1
