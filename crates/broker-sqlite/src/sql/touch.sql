-- Changes nothing that counts, but has something to write: whether the store takes it.
-- Plan: the one row of line.
UPDATE line SET touched = touched + 1
