-- A step's value, unless it has one.
-- ?1 row  ?2 step  ?3 occurrence  ?4 fingerprint  ?5 value
INSERT INTO checkpoints (job, step, occurrence, fingerprint, value) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO NOTHING
