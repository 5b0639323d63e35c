-- The next place at the front of the line, ahead of all that wait.
-- Plan: the one row of line.
UPDATE line SET front = front - 1 RETURNING front + 1
