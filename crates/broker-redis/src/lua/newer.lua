-- Parks a running job whose record a newer program wrote, for a worker that can read it.
-- ARGV[2] id   ARGV[3] token   ARGV[4] for how many ms
-- Returns 1, or 0 when it is not held under that token.
local id = ARGV[2]
if redis.call('HGET', Q .. 'a', id) ~= ARGV[3] then
  return 0
end
local head = redis.call('GETRANGE', Q .. 'j:' .. id, 0, 127)
local priority, tenant = string.match(head, '^%S+ %a (%d) %d+ %d+ (%S+) ')
redis.call('HDEL', Q .. 'a', id)
redis.call('ZREM', Q .. 'c', id)
redis.call('SETRANGE', Q .. 'j:' .. id, 3, 'w')
delay(id, priority .. ':' .. tenant, now + tonumber(ARGV[4]), 'waiting')
flush()
return 1
