-- What is known of one account and model.
-- ?1 name
SELECT state FROM limiters WHERE name = ?1
