-- What a job's steps stored, in the order they did.
-- ?1 id  ?2 now
-- Plan: search jobs by id, checkpoints by job; sorts one job's.
SELECT c.step, c.occurrence, c.fingerprint, c.value FROM jobs j
JOIN checkpoints c ON c.job = j.row WHERE j.id = ?1 AND (j.gone_ms IS NULL OR j.gone_ms > ?2) ORDER BY c.row
