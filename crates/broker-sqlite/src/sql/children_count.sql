-- Children of a job, and whether any is of a group.
-- ?1 row  ?2 group
-- Plan: search children by children_of; a job has a bounded number.
SELECT count(child), total(in_group = ?2) > 0 FROM children WHERE parent = ?1
