-- Ends attempts, each only under the token that is held.
-- ARGV[2] 1 = the store ends them by itself: their workers' own settles stay refused
-- ARGV[3] number of attempts that end their job, then for each: id, token, record,
--   ms when it is forgotten, unique key to free or ''
-- then the number of others, then for each: id, token, what (front, back, wait, drop),
--   lane, record, ms when it is due, event type, event data,
--   what it is parked for or '', field of the signal it waits for or ''
-- Returns for each 1 done, 0 fenced, 2 asked to stop: send its end instead.
local by_store = ARGV[2] == '1'
local END, ON = 5, 10
local ends = tonumber(ARGV[3])
local others = tonumber(ARGV[4 + ends * END])
local ids = {}
for i = 1, ends do
  ids[i] = ARGV[4 + (i - 1) * END]
end
local first_other = 5 + ends * END
for i = 1, others do
  ids[ends + i] = ARGV[first_other + (i - 1) * ON]
end
if #ids == 0 then
  return {}
end
local tokens = redis.call('HMGET', Q .. 'a', unpack(ids))
local rare = redis.call('EXISTS', Q .. 'c', Q .. 't') > 0
local cancels = rare and redis.call('EXISTS', Q .. 'c') == 1
local noted = rare and redis.call('EXISTS', Q .. 't') == 1 and redis.call('HMGET', Q .. 't', unpack(ids)) or {}

local answers, settled = {}, {}
local function done(i)
  answers[i] = 1
  tokens[i] = false
  settled[#settled + 1] = ids[i]
  news[#news + 1] = ids[i]
end

-- What a job is parked for may be there already: then it is not.
local function park(id, lane, parked, field)
  if parked == '' then
    return
  end
  redis.call('HSET', Q .. 's:' .. id, 'parked', parked)
  if string.sub(parked, 1, 1) == 's' then
    if redis.call('HEXISTS', Q .. 's:' .. id, field) == 1 then
      unpark(id, parked)
    end
    return
  end
  redis.call('ZADD', Q .. 'parents', now + 30000, id)
  local family = redis.call('HMGET', Q .. 'ch:' .. id, 'left', 'failed')
  if joined(parked, tonumber(family[1] or 0), tonumber(family[2] or 0)) then
    unpark(id, parked)
  end
end

for i = 1, ends do
  local at = 4 + (i - 1) * END
  local token = ARGV[at + 1]
  if tokens[i] ~= token then
    answers[i] = 0
  else
    if by_store then
      redis.call('HSET', Q .. 's:' .. ids[i], 'settled', '-')
    end
    local stateless = not by_store and not noted[i]
    finish(ids[i], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], by_store and '-' or token, stateless)
    done(i)
  end
end

for j = 1, others do
  local i, at = ends + j, first_other + (j - 1) * ON
  local id, token, what, lane = ids[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if tokens[i] ~= token then
    answers[i] = 0
  elseif what == 'drop' then
    redis.call('HDEL', Q .. 't', id)
    done(i)
  elseif cancels and redis.call('ZSCORE', Q .. 'c', id) then
    answers[i] = 2
  else
    local state = Q .. 's:' .. id
    redis.call('SET', Q .. 'j:' .. id, ARGV[at + 4])
    redis.call('HSET', state, 'settled', by_store and '-' or token)
    redis.call('HDEL', state, 'progress')
    note(id, tonumber(string.sub(ARGV[at + 4], 8, 12)))
    append(id, now, ARGV[at + 6], '', ARGV[at + 7])
    done(i)
    if what == 'wait' then
      delay(id, lane, tonumber(ARGV[at + 5]), 'waiting')
      park(id, lane, ARGV[at + 8], ARGV[at + 9])
    else
      push(lane, {id}, what == 'front')
      wake_one()
    end
  end
end
if #settled > 0 then
  redis.call('HDEL', Q .. 'a', unpack(settled))
  if cancels then
    redis.call('ZREM', Q .. 'c', unpack(settled))
  end
  if redis.call('HEXISTS', Q .. 'n', 'concurrency') == 1 and redis.call('EXISTS', Q .. 'lanes') == 1 then
    wake_one()
  end
end
flush()
return answers
