-- A tenant's weight in a queue.
-- ?1 queue  ?2 tenant  ?3 weight
INSERT INTO weights (queue, tenant, weight) VALUES (?1, ?2, ?3)
