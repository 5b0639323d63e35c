-- A queue, the first time it is used.
-- ?1 queue
INSERT INTO queues (queue) VALUES (?1) ON CONFLICT DO NOTHING
