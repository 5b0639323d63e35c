-- Whether any of a job's children is not over, and any failed or was cancelled.
-- ?1 row
-- Plan: the first of children_open and of children_failed.
SELECT
  EXISTS (SELECT 1 FROM children WHERE parent = ?1 AND ended IS NULL),
  EXISTS (SELECT 1 FROM children WHERE parent = ?1 AND ended IN ('F', 'C'))
