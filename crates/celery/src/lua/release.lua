-- Lets a mutex go, unless it ran out and is another's by now.
-- KEYS: mutex. ARGV: our token.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
