-- A session or tag of a new job.
-- ?1 label  ?2 state  ?3 place  ?4 row
INSERT OR IGNORE INTO labels (label, state, place, job) VALUES (?1, ?2, ?3, ?4)
