-- Gives a value to an unfinished job under a name; the first value of a name stays.
-- ARGV[2] id   ARGV[3] name   ARGV[4] its field in the state hash   ARGV[5] value
-- ARGV[6] event type   ARGV[7] event data
-- Returns D delivered, T another value is there, '' no such job, or the letter of its final state.
local id, name, field, value = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state = Q .. 's:' .. id
local letter = redis.call('GETRANGE', Q .. 'j:' .. id, 3, 3)
if letter == '' or string.match(letter, '%u') then
  return letter
end
local there = redis.call('HGET', state, field)
if there then
  return string.match(there, '^%d+ (.*)$') == value and 'D' or 'T'
end
local place = redis.call('HINCRBY', state, 'kept', 1)
if place == 1 then
  note(id)
end
redis.call('HSET', state, field, string.format('%.0f ', place) .. value)
append(id, now, ARGV[6], '', ARGV[7])
table.insert(news, id)
local parked = redis.call('HGET', state, 'parked')
if parked and string.match(parked, '^s %S+ (.*)$') == name then
  unpark(id, parked)
end
flush()
return 'D'
