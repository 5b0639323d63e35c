-- Jobs of one state in a queue.
-- ?1 state  ?2 after place  ?3 limit  ?4 queue
-- Plan: jobs_queue alone, in its order.
SELECT place, row FROM jobs WHERE queue = ?4 AND state = ?1 AND place > ?2 ORDER BY place LIMIT ?3
