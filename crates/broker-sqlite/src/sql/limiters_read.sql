-- Every account and model, by name.
-- Plan: scan limiters; they are few.
SELECT name, state FROM limiters ORDER BY name
