-- Where a running job stands.
-- ?1 row  ?2 progress
-- Plan: search jobs by key.
UPDATE jobs SET progress = ?2 WHERE row = ?1
