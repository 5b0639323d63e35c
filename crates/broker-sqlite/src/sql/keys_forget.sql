-- Keys whose window is over.
-- ?1 now  ?2 limit
-- Plan: search keys by keys_until.
DELETE FROM keys WHERE (queue, tenant, scope, key) IN (
  SELECT queue, tenant, scope, key FROM keys WHERE until_ms <= ?1 ORDER BY until_ms LIMIT ?2)
