-- Replaces what is known of one account and model.
-- ?1 name   ?2 state
INSERT INTO limiters (name, state) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET state = excluded.state
