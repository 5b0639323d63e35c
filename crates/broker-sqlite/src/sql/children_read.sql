-- A job's children, in the order they were spawned.
-- ?1 id  ?2 now
-- Plan: search jobs by id, children by children_of, in its order.
SELECT c.child, c.in_group, c.ended FROM jobs j JOIN children c ON c.parent = j.row
WHERE j.id = ?1 AND c.child IS NOT NULL AND (j.gone_ms IS NULL OR j.gone_ms > ?2) ORDER BY c.row
