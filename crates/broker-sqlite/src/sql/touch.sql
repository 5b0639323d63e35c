-- Changes nothing, but as a write: whether the store takes any.
-- Plan: the one row of line.
UPDATE line SET back = back
