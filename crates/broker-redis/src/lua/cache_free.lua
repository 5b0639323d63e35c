-- Ends a hold without a value and wakes who waits; without a token, drops a value.
-- ARGV[3] token or ''
-- Returns 1.
if ARGV[3] == '' then
  if read() == 'v' then
    drop(name)
  end
elseif holds(ARGV[3]) then
  redis.call('DEL', Q .. 'e:' .. name)
  redis.call('PUBLISH', Q .. 'news', name)
end
return 1
