-- Removes a key for good, if it still is what the caller saw, with its indexes and its uses; logs that it is gone.
-- KEYS: meta, log, audit, audit_by_key, records, order, expiries, development, pepper_uses, owner, uses.
-- ARGV: log size, audit log size, key_id, value before, code, stamp, pepper version, entry of the audit log.
-- Returns {outcome, revision}; the outcome is 'done' or 'changed'.

local key_id = ARGV[3]
if redis.call('HGET', KEYS[5], key_id) ~= ARGV[4] then
  return { 'changed' }
end
local revision = log_change(key_id, ARGV[5], ARGV[6], ARGV[1])
redis.call('HDEL', KEYS[5], key_id)
redis.call('ZREM', KEYS[6], key_id)
redis.call('ZREM', KEYS[7], key_id)
redis.call('SREM', KEYS[8], key_id)
redis.call('ZREM', KEYS[10], key_id)
redis.call('DEL', KEYS[11])
if redis.call('HINCRBY', KEYS[9], ARGV[7], -1) <= 0 then
  redis.call('HDEL', KEYS[9], ARGV[7])
end
audit(KEYS[3], KEYS[4], revision, ARGV[8], ARGV[2])
return { 'done', revision }
