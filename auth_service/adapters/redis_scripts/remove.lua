-- Removes a key for good, if it still is what the caller saw, with its indexes; logs that it is gone.
-- KEYS: meta, log, records, order, expiries, development, pepper_uses, owner.
-- ARGV: key_id, value before, code, stamp, log size, pepper version.
-- Returns {outcome, revision}; the outcome is 'done' or 'changed'.

local key_id = ARGV[1]
if redis.call('HGET', KEYS[3], key_id) ~= ARGV[2] then
  return { 'changed', '0' }
end
local revision = log_change(key_id, ARGV[3], ARGV[4], ARGV[5])
redis.call('HDEL', KEYS[3], key_id)
redis.call('ZREM', KEYS[4], key_id)
redis.call('ZREM', KEYS[5], key_id)
redis.call('SREM', KEYS[6], key_id)
redis.call('ZREM', KEYS[8], key_id)
if redis.call('HINCRBY', KEYS[7], ARGV[6], -1) <= 0 then
  redis.call('HDEL', KEYS[7], ARGV[6])
end
return { 'done', revision }
