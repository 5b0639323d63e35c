-- Moves a worker's lease.
-- ARGV[2] worker   ARGV[3] lease in ms
-- Returns now and the ids of its jobs that are to be stopped; now is -1 when the worker is unknown.
local worker = ARGV[2]
local deadline = redis.call('ZSCORE', Q .. 'w', worker)
if not deadline or tonumber(deadline) < 0 then
  return {-1, {}}
end
redis.call('ZADD', Q .. 'w', now + tonumber(ARGV[3]), worker)
local stop, from, BITE = {}, 0, 1000
while true do
  local asked = redis.call('ZRANGE', Q .. 'c', from, from + BITE - 1)
  if #asked == 0 then
    break
  end
  for i, token in ipairs(redis.call('HMGET', Q .. 'a', unpack(asked))) do
    if token and string.sub(token, 1, #worker) == worker then
      table.insert(stop, asked[i])
    end
  end
  from = from + BITE
end
return {now, stop}
