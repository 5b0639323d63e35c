-- Events after a cursor.
-- ?1 row  ?2 cursor  ?3 limit
-- Plan: search events by key, in its order.
SELECT seq, at_ms, kind, step, data FROM events WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3
