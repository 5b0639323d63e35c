-- Moves the end of a hold.
-- ?1 name   ?2 token   ?3 until ms
UPDATE cache SET until_ms = ?3 WHERE name = ?1 AND token = ?2;
