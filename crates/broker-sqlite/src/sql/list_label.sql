-- Jobs of one state with a session or tag.
-- ?1 state  ?2 after place  ?3 limit  ?4 label
-- Plan: labels by key, in its order.
SELECT place, job FROM labels WHERE label = ?4 AND state = ?1 AND place > ?2 ORDER BY place LIMIT ?3
