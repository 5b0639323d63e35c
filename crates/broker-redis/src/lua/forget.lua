-- Forgets finished jobs of one entry of the list of finished jobs.
-- ARGV[2] entry   ARGV[3..] ids whose time is over
-- Returns how many jobs, 0 when another sweep was first.
if redis.call('XDEL', Q .. 'fin', ARGV[2]) == 0 then
  return 0
end
redis.call('ZREM', Q .. 'g', ARGV[2])
for i = 3, #ARGV do
  local id = ARGV[i]
  redis.call('UNLINK', Q .. 'j:' .. id, Q .. 's:' .. id, Q .. 'e:' .. id, Q .. 'ch:' .. id, Q .. 'cl:' .. id)
  redis.call('ZREM', Q .. 'dead', id)
end
return #ARGV - 2
