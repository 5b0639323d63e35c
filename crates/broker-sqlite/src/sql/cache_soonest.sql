-- Drops the value that ends soonest.
DELETE FROM cache WHERE row = (
  SELECT row FROM cache WHERE value IS NOT NULL ORDER BY until_ms LIMIT 1
);
