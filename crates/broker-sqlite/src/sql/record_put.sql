-- A job's record after it moved.
-- ?1 row  ?2 record  ?3 result
-- Plan: search records by key.
UPDATE records SET record = ?2, result = ?3 WHERE job = ?1
