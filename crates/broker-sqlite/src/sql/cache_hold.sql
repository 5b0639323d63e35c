-- Begins a hold on a key that has no entry.
-- ?1 name   ?2 token   ?3 until ms
INSERT INTO cache (name, token, until_ms) VALUES (?1, ?2, ?3);
