-- A child of a job.
-- ?1 parent  ?2 group  ?3 id or null  ?4 how it ended or null
INSERT INTO children (parent, in_group, child, ended) VALUES (?1, ?2, ?3, ?4)
