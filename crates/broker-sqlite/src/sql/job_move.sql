-- A job enters a state nobody holds it in; without a new place it keeps its own.
-- ?1 row  ?2 state  ?3 place or null  ?4 due  ?5 gone  ?6 settled token or null
-- ?7 expires  ?8 what it waits for or null
-- Plan: search jobs by key.
UPDATE jobs SET
  state = ?2, place = coalesce(?3, place), due_ms = ?4, gone_ms = ?5, settled = ?6,
  expires_ms = ?7, waits = ?8, worker = NULL, token = NULL, cancel_ms = NULL, progress = NULL
WHERE row = ?1
