-- What a finished job gave.
-- ?1 row
-- Plan: search records by key.
SELECT result FROM records WHERE job = ?1
