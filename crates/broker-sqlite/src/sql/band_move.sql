-- A priority's virtual time moves.
-- ?1 queue  ?2 priority  ?3 virtual time
INSERT INTO bands (queue, priority, vtime) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET vtime = excluded.vtime
