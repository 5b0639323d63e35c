-- A queued job whose record cannot be read leaves its lane.
-- ?1 row
-- Plan: search lanes by key, jobs by key.
UPDATE lanes SET queued = queued - 1
WHERE (queue, priority, tenant) = (SELECT queue, priority, tenant FROM jobs WHERE row = ?1)
