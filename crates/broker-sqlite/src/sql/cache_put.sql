-- Turns a hold into a value.
-- ?1 name   ?2 token   ?3 until ms   ?4 value
UPDATE cache SET token = NULL, until_ms = ?3, value = ?4 WHERE name = ?1 AND token = ?2;
