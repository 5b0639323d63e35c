-- A queue's weights make room for others.
-- ?1 queue
-- Plan: search weights by key.
DELETE FROM weights WHERE queue = ?1
