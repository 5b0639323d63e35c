-- A job whose record cannot be read holds no unique key, unless it has a window.
-- ?1 job
-- Plan: search keys by keys_held.
DELETE FROM keys WHERE job = ?1 AND until_ms IS NULL
