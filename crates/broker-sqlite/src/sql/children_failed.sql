-- A job's children that failed or were cancelled, in the order they were spawned.
-- ?1 id
-- Plan: search jobs by id, children by children_failed, in its order.
SELECT c.child FROM jobs j JOIN children c ON c.parent = j.row
WHERE j.id = ?1 AND c.ended IN ('F', 'C') ORDER BY c.row
