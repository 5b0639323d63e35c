-- Who holds a key. A key without an end is held while its job is there.
-- ?1 queue  ?2 tenant  ?3 scope  ?4 key  ?5 now
-- Plan: search keys by key, jobs by id.
SELECT job, fingerprint FROM keys
WHERE queue = ?1 AND tenant = ?2 AND scope = ?3 AND key = ?4
  AND (until_ms > ?5 OR (until_ms IS NULL AND EXISTS (SELECT 1 FROM jobs WHERE id = keys.job)))
