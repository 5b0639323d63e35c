-- Tenants of a queue that have a weight of their own.
-- ?1 queue
-- Plan: search weights by key.
SELECT tenant, weight FROM weights WHERE queue = ?1
