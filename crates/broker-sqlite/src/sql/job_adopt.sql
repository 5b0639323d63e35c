-- A job that is there already becomes somebody's child.
-- ?1 row
-- Plan: search jobs by key.
UPDATE jobs SET child = 1 WHERE row = ?1
