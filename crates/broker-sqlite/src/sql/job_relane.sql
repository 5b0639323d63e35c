-- The lane of a job whose record was replaced.
-- ?1 row  ?2 priority  ?3 tenant
-- Plan: search jobs by key.
UPDATE jobs SET priority = ?2, tenant = ?3 WHERE row = ?1
