-- Ends a hold without a value.
-- ?1 name   ?2 token
DELETE FROM cache WHERE name = ?1 AND token = ?2;
