-- A new job's record.
-- ?1 row  ?2 record
INSERT INTO records (job, record) VALUES (?1, ?2)
