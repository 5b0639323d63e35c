-- Stores a task's state and tells whoever waits for it, unless it has succeeded:
-- what a late duplicate says must not stand in place of a result.
-- KEYS: result. ARGV: JSON, seconds to keep it (0 for ever). Returns whether it was stored.
local function succeeded(json)
  if string.sub(json, 1, 20) == '{"status": "SUCCESS"' or string.sub(json, 1, 19) == '{"status":"SUCCESS"' then
    return true
  end
  local read, meta = pcall(cjson.decode, json)
  return read and type(meta) == 'table' and meta.status == 'SUCCESS'
end

local stands = redis.call('GET', KEYS[1])
if stands and succeeded(stands) then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('SETEX', KEYS[1], ARGV[2], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
