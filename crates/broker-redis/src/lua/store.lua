-- Putting new jobs into their queue: included by `enqueue.lua` and `spawn.lua`.

-- Lists a job under its session and tags. Whoever adds also looks at four
-- entries, so that an index nobody reads does not grow for ever.
local INDEX_MS = 30 * 24 * 3600 * 1000
local function index(id, names)
  for _, name in ipairs(names) do
    local key = Q .. 'ix:' .. name
    redis.call('ZADD', key, -now, id)
    redis.call('PEXPIRE', key, INDEX_MS)
    for _, other in ipairs(redis.call('ZRANDMEMBER', key, 4)) do
      if other ~= id and redis.call('EXISTS', Q .. 'j:' .. other) == 0 then
        redis.call('ZREM', key, other)
      end
    end
  end
end

-- An id that was cancelled in its lane, forgotten and is used anew stands there once.
local function take_out(id, lane)
  if redis.call('SISMEMBER', Q .. 'z', id) == 1
    and redis.call('LREM', Q .. 'l:' .. lane, 1, id) == 1 then
    redis.call('SREM', Q .. 'z', id)
  end
end

local records, lanes, order = {}, {}, {}

-- Notes a job that `write_new` is to queue.
local function queue_new(id, lane)
  local at = lanes[Q .. lane]
  if not at then
    at = {prefix = Q, lane = lane, ids = {}, gaps = redis.call('EXISTS', Q .. 'z') == 1}
    lanes[Q .. lane] = at
    order[#order + 1] = at
  end
  if at.gaps then
    take_out(id, lane)
  end
  at.ids[#at.ids + 1] = id
end

-- Notes a job that `write_new` is to store; `due` and `expires` in ms, 0 for none.
local function put_new(id, record, lane, due, expires)
  records[#records + 1] = Q .. 'j:' .. id
  records[#records + 1] = record
  if expires > 0 then
    redis.call('ZADD', Q .. 'ex', expires, id)
  end
  if due > 0 then
    delay(id, lane, due, 'scheduled')
  else
    queue_new(id, lane)
  end
end

-- Stores and queues what was noted.
local function write_new()
  if #records > 0 then
    redis.call('MSET', unpack(records))
  end
  for _, at in ipairs(order) do
    Q = at.prefix
    push(at.lane, at.ids, false)
    wake_one()
  end
end
