-- Reads jobs as they stand.
-- KEYS[1] queue prefix   ARGV[1] 1 = with results   ARGV[2..] ids
-- Returns for each record, token, asked to stop (0 or 1) and progress, '' where there is none.
local Q = KEYS[1]
local HEADER_MAX = 511

-- Everything before the result, without moving a large result into the script.
local function without_result(key)
  local head = redis.call('GETRANGE', key, 0, HEADER_MAX)
  local line = string.match(head, '^[^\n]*\n')
  if not line then
    return head
  end
  local body, input = string.match(line, '^%S+ %a %d %d+ %d+ %S+ (%d+) (%d+) ')
  if not body then
    return head
  end
  return redis.call('GETRANGE', key, 0, #line + tonumber(body) + tonumber(input) - 1)
end

local answer = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local key = Q .. 'j:' .. id
  local record = ARGV[1] == '1' and redis.call('GET', key) or without_result(key)
  table.insert(answer, record or '')
  table.insert(answer, redis.call('HGET', Q .. 'a', id) or '')
  table.insert(answer, redis.call('ZSCORE', Q .. 'c', id) and 1 or 0)
  table.insert(answer, redis.call('HGET', Q .. 's:' .. id, 'progress') or '')
end
return answer
