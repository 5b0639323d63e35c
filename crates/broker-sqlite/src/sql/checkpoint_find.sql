-- What a step stored.
-- ?1 row  ?2 step  ?3 occurrence
-- Plan: search checkpoints by job, step and occurrence.
SELECT value FROM checkpoints WHERE job = ?1 AND step = ?2 AND occurrence = ?3
