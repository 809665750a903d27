-- Reads the keys whose time is over and was not logged.
-- KEYS: expiries, records. ARGV: now (milliseconds), at most so many.
-- Returns {next expiry in milliseconds or '', key_id, value, key_id, value, ...}; a value is '' if there is none.

local next_one = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local found = { next_one[2] or '' }
for _, key_id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = key_id
  found[#found + 1] = redis.call('HGET', KEYS[2], key_id) or ''
end
return found
