-- Writes a new record over that of a job nobody runs, if it still is as it was read.
-- ARGV[2] id   ARGV[3] first bytes of the record as read   ARGV[4] new record
-- ARGV[5] lane   ARGV[6] ms when the final one of the two records is forgotten
-- ARGV[7] unique key to free or to take, or ''   ARGV[8] ms to take it for, 0 until it is final
-- ARGV[9] number of events, then their time, type and data
-- Returns 1, 0 when the job has changed, or the id of the job that holds the unique key.
local id, head, record, lane, unique = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7]
local key = Q .. 'j:' .. id
if redis.call('GETRANGE', key, 0, #head - 1) ~= head or redis.call('HEXISTS', Q .. 'a', id) == 1 then
  return 0
end

local function leave(letter)
  if letter == 'q' then
    redis.call('SADD', Q .. 'z', id)
    count('queued', -1)
  elseif letter == 's' or letter == 'w' then
    redis.call('ZREM', Q .. 'd', id .. ':' .. lane)
    redis.call('HDEL', Q .. 's:' .. id, 'parked')
    redis.call('ZREM', Q .. 'parents', id)
    count(letter == 's' and 'scheduled' or 'waiting', -1)
  elseif letter == 'F' then
    redis.call('ZREM', Q .. 'dead', id)
  end
end

local function take_unique()
  local name, window = Q .. 'u:' .. unique, tonumber(ARGV[8])
  local holder, held = string.match(redis.call('GET', name) or '', '^(%S+) (%d+)$')
  if holder and holder ~= id then
    local live = held == '0' and redis.call('EXISTS', Q .. 'j:' .. holder) == 1
    if live or tonumber(held) > now then
      return holder
    end
  end
  if window == 0 then
    redis.call('SET', name, id .. ' 0')
  else
    redis.call('SET', name, string.format('%s %.0f', id, now + window), 'PX', window + SLACK_MS)
  end
end

-- A child that is not over any more: its parents wait for it again.
local function count_again()
  local parents = redis.call('HGET', Q .. 's:' .. id, 'parent') or ''
  for parent in string.gmatch(parents, '%S+') do
    local family = Q .. 'ch:' .. parent
    local ended = redis.call('HGET', family, id)
    if ended and ended ~= '-' then
      redis.call('HSET', family, id, '-')
      redis.call('HINCRBY', family, 'left', 1)
      redis.call('HINCRBY', family, 'failed', ended == 'S' and 0 or -1)
    end
  end
end

-- A job that was cancelled in its lane and comes back takes its old place there.
local function queue_again()
  redis.call('SET', key, record)
  redis.call('HDEL', Q .. 's:' .. id, 'progress')
  local kept = redis.call('HMGET', Q .. 's:' .. id, 'settled', 'ends')
  -- No settle is known any more, but its time is: claims are later than that.
  local before = math.max(now, tonumber(string.match(kept[1] or '', ':(%d+)$') or 0))
  redis.call('HSET', Q .. 's:' .. id, 'settled', string.format('-:%.0f', before),
    'ends', (kept[2] or '') .. ARGV[6] .. ' ')
  -- An older program gave them a time to live.
  redis.call('PERSIST', Q .. 's:' .. id)
  redis.call('PERSIST', Q .. 'e:' .. id)
  note(id, 0)
  count_again()
  if redis.call('SREM', Q .. 'z', id) == 1 then
    count('queued', 1)
  else
    push(lane, {id}, false)
  end
  wake_one()
end

local again = string.sub(record, 4, 4) == 'q'
if again and unique ~= '' then
  local holder = take_unique()
  if holder then
    return holder
  end
end
leave(string.sub(head, 4, 4))
for i = 10, 9 + tonumber(ARGV[9]) * 3, 3 do
  append(id, ARGV[i], ARGV[i + 1], '', ARGV[i + 2])
end
if again then
  queue_again()
else
  finish(id, record, ARGV[6], unique, '-')
end
table.insert(news, id)
flush()
return 1
