-- A new job.
-- ?1 id  ?2 queue  ?3 tenant  ?4 priority  ?5 state  ?6 place  ?7 due  ?8 labelled  ?9 idempotency
-- ?10 expires  ?11 whether it is a child
INSERT INTO jobs (id, queue, tenant, priority, state, place, due_ms, labelled, idempotency,
  expires_ms, child)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
