-- A job and all that hangs on it.
-- ?1 row
-- Plan: search jobs by key, the others by foreign key.
DELETE FROM jobs WHERE row = ?1
