-- Asks the worker that runs a job to stop it.
-- ARGV[2] id   ARGV[3] event type   ARGV[4] event data
-- Returns 1, or 0 when nobody runs it.
local id = ARGV[2]
local token = redis.call('HGET', Q .. 'a', id)
if not token then
  return 0
end
if redis.call('ZADD', Q .. 'c', 'NX', now, id) == 1 then
  local inbox = Q .. 'x:' .. string.match(token, '^[^:]*')
  redis.call('RPUSH', inbox, id)
  redis.call('PEXPIRE', inbox, 3600000)
  append(id, now, ARGV[3], '', ARGV[4])
  table.insert(news, id)
  flush()
end
return 1
