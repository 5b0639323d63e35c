-- A job takes a key that nobody holds.
-- ?1 queue  ?2 tenant  ?3 scope  ?4 key  ?5 job  ?6 fingerprint  ?7 until
INSERT OR REPLACE INTO keys (queue, tenant, scope, key, job, fingerprint, until_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
