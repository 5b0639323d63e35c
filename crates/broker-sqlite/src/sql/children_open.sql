-- A job's children that are not over, in the order they were spawned.
-- ?1 id
-- Plan: search jobs by id, children by children_open, in its order.
SELECT c.child FROM jobs j JOIN children c ON c.parent = j.row
WHERE j.id = ?1 AND c.ended IS NULL ORDER BY c.row
