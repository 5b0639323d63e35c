-- Jobs of one state.
-- ?1 state  ?2 after place  ?3 limit
-- Plan: jobs_state alone, in its order.
SELECT place, row FROM jobs WHERE state = ?1 AND place > ?2 ORDER BY place LIMIT ?3
