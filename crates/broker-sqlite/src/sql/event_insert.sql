-- An event of a job.
-- ?1 row  ?2 sequence  ?3 time  ?4 kind  ?5 step  ?6 data
INSERT INTO events (job, seq, at_ms, kind, step, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
