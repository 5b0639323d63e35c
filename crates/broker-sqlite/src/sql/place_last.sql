-- The next place at the back of the line.
-- Plan: the one row of line.
UPDATE line SET back = back + 1 RETURNING back - 1
