-- A job is final: its unique key is free, unless it has a window.
-- ?1 queue  ?2 tenant  ?3 key  ?4 job
-- Plan: search keys by key.
DELETE FROM keys
WHERE queue = ?1 AND tenant = ?2 AND scope = 'u' AND key = ?3 AND job = ?4 AND until_ms IS NULL
