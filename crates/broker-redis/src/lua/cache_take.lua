-- The value of a key, or the right to make it.
-- ARGV[3] shelf   ARGV[4] token   ARGV[5] lease in ms   ARGV[6] 1 when the caller has waited
-- Returns {'v', value}, {'y'} the caller makes it, or {'b', token of who makes it, ms left}.
local letter, until_ms, rest = read()
local function count(what)
  redis.call('HINCRBY', Q .. 'n', ARGV[3] .. ':' .. what, 1)
end
if letter == 'v' and until_ms > now then
  count(ARGV[6] == '1' and 'shared' or 'hits')
  return {'v', rest}
end
if letter == 'h' and until_ms > now then
  return {'b', rest, string.format('%.0f', until_ms - now)}
end
-- Also one that Redis dropped by itself: it is still listed, and whoever made room
-- next would drop the hold in its place.
drop(name)
write('h', tonumber(ARGV[5]), ARGV[4])
count('misses')
return {'y'}
