-- When the next scheduled or waiting job is due.
-- ?1 queue
-- Plan: the first of jobs_due.
SELECT due_ms FROM jobs WHERE queue = ?1 AND due_ms IS NOT NULL ORDER BY due_ms LIMIT 1
