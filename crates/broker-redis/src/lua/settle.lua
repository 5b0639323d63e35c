-- Ends attempts, each only under the token that is held.
-- ARGV[2] 1 = the store ends them by itself: their workers' own settles stay refused
-- ARGV[3] number of attempts, then for each:
--   id, token, what (end, front, back, wait, drop), lane, record,
--   ms when it is due or forgotten, unique key to free or '', event type or '', event data
-- Returns for each 1 done, 0 fenced, 2 asked to stop: send its end instead.
local by_store = ARGV[2] == '1'
local WIDTH = 9
local count_of = tonumber(ARGV[3])
local ids = {}
for i = 1, count_of do
  ids[i] = ARGV[4 + (i - 1) * WIDTH]
end
if count_of == 0 then
  return {}
end
local tokens = redis.call('HMGET', Q .. 'a', unpack(ids))
local cancels = redis.call('EXISTS', Q .. 'c') == 1

local function requeue(id, what, lane, record, due, settled)
  redis.call('SET', Q .. 'j:' .. id, record)
  redis.call('HSET', Q .. 's:' .. id, 'settled', settled)
  redis.call('HDEL', Q .. 's:' .. id, 'progress')
  if what == 'wait' then
    delay(id, lane, due, 'waiting')
  else
    push(lane, {id}, what == 'front')
    wake_one()
  end
end

local answers, settled = {}, {}
for i = 1, count_of do
  local at = 4 + (i - 1) * WIDTH
  local id, token, what = ids[i], ARGV[at + 1], ARGV[at + 2]
  local lane, record, due = ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 5])
  local goes_on = what ~= 'end' and what ~= 'drop'
  if tokens[i] ~= token then
    answers[i] = 0
  elseif goes_on and cancels and redis.call('ZSCORE', Q .. 'c', id) then
    answers[i] = 2
  else
    answers[i] = 1
    tokens[i] = false
    table.insert(settled, id)
    local settled_by = by_store and '-' or token
    if what == 'end' then
      if by_store then
        redis.call('HSET', Q .. 's:' .. id, 'settled', settled_by)
      end
      finish(id, record, due, ARGV[at + 6], settled_by)
    elseif goes_on then
      requeue(id, what, lane, record, due, settled_by)
    end
    if ARGV[at + 7] ~= '' then
      append(id, now, ARGV[at + 7], '', ARGV[at + 8])
    end
    table.insert(news, id)
  end
end
if #settled > 0 then
  redis.call('HDEL', Q .. 'a', unpack(settled))
  if cancels then
    redis.call('ZREM', Q .. 'c', unpack(settled))
  end
end
flush()
return answers
