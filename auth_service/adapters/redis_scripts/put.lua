-- Makes or changes a key, if it still is what the caller saw: record, indexes, revision and log entry together.
-- KEYS: meta, log, records, order, expiries, development, pepper_uses, owner before, owner after.
-- ARGV: key_id, value before ('' for a new key), body after, code, stamp, log size, '1' for the first admin key,
--       expiry (milliseconds, 'keep', or '' for none to be logged), '1' for a development key,
--       pepper version before ('' for a new key) and after.
-- Returns {outcome, revision}; the outcome is 'done', 'changed' (it is not what was seen) or 'bootstrapped'.

local key_id, before, first = ARGV[1], ARGV[2], ARGV[7] == '1'
if first and redis.call('HEXISTS', KEYS[1], 'bootstrapped') == 1 then
  return { 'bootstrapped', '0' }
end
if (redis.call('HGET', KEYS[3], key_id) or '') ~= before then
  return { 'changed', '0' }
end

local revision = log_change(key_id, ARGV[4], ARGV[5], ARGV[6])
redis.call('HSET', KEYS[3], key_id, revision .. ' ' .. ARGV[3])
if first then
  redis.call('HSET', KEYS[1], 'bootstrapped', '1')
end

if before == '' then
  redis.call('ZADD', KEYS[4], redis.call('HINCRBY', KEYS[1], 'sequence', 1), key_id)
else
  redis.call('ZREM', KEYS[8], key_id)
end
redis.call('ZADD', KEYS[9], redis.call('ZSCORE', KEYS[4], key_id), key_id)

if ARGV[8] == '' then
  redis.call('ZREM', KEYS[5], key_id)
elseif ARGV[8] ~= 'keep' then
  redis.call('ZADD', KEYS[5], ARGV[8], key_id)
end
redis.call(ARGV[9] == '1' and 'SADD' or 'SREM', KEYS[6], key_id)

if ARGV[10] ~= ARGV[11] then
  redis.call('HINCRBY', KEYS[7], ARGV[11], 1)
  if ARGV[10] ~= '' and redis.call('HINCRBY', KEYS[7], ARGV[10], -1) <= 0 then
    redis.call('HDEL', KEYS[7], ARGV[10])
  end
end
return { 'done', revision }
