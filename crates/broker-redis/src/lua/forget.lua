-- Forgets finished jobs, but not those that were redriven since.
-- ARGV[2] how many are enough   ARGV[3..] entries of the list of finished jobs
-- Returns how many jobs, 0 when another sweep was first.
local HEAD_MAX = 65535

-- Whether this is the job's last end: one that was redriven, or whose id is used
-- anew, is not over, or ended in another entry.
local function is_last(id, gone)
  local head = redis.call('GETRANGE', Q .. 'j:' .. id, 0, HEAD_MAX)
  if head == '' then
    return true
  end
  return gone_at(head) == gone
end

local function unlink(ids, letters)
  local keys = {}
  for _, id in ipairs(ids) do
    for _, letter in ipairs(letters) do
      keys[#keys + 1] = Q .. letter .. id
    end
  end
  redis.call('UNLINK', unpack(keys))
end

local function forget(entry)
  local found = redis.call('XRANGE', Q .. 'fin', entry, entry)[1]
  redis.call('ZREM', Q .. 'g', entry)
  if not found then
    return 0
  end
  redis.call('XDEL', Q .. 'fin', entry)
  local gone, listed = tonumber(found[2][2]), found[2][4]
  local ids, states = {}, {}
  for id in string.gmatch(listed, '%S+') do
    ids[#ids + 1] = id
    states[#states + 1] = Q .. 's:' .. id
  end
  local plain = redis.call('EXISTS', unpack(states)) == 0
  local over = {}
  for _, id in ipairs(ids) do
    if is_last(id, gone) then
      over[#over + 1] = id
    end
  end
  if #over > 0 then
    unlink(over, plain and {'j:'} or {'j:', 's:', 'e:', 'ch:', 'cl:'})
    redis.call('ZREM', Q .. 'dead', unpack(over))
    -- Left behind where an older program ended them.
    redis.call('HDEL', Q .. 't', unpack(over))
  end
  return #over
end

local forgotten = 0
for i = 3, #ARGV do
  forgotten = forgotten + forget(ARGV[i])
  if forgotten >= tonumber(ARGV[2]) then
    break
  end
end
return forgotten
