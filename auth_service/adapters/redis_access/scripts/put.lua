-- Makes or changes keys, all of them or none, if each still is what the caller saw: record, indexes, revision, log entries.
-- KEYS: meta, log, audit, audit_by_key, records, order, expiries, development, pepper_uses; then for each key: owner before, owner after.
-- ARGV: log size, audit log size, '1' for the first admin key, keys that there may be; then for each key:
--       key_id, value before ('' for a new key), body after, code, stamp, expiry (milliseconds, 'keep', or '' for none to be
--       logged), '1' for a development key, pepper version before ('' for a new key) and after, entry of the audit log.
-- Returns {outcome, revision, ...}; the outcome is 'done', 'changed' (one is not what was seen), 'full' or 'bootstrapped'.

local FIXED_KEYS, KEYS_EACH, FIXED_ARGS, ARGS_EACH = 9, 2, 4, 10
local META, AUDIT, AUDIT_BY_KEY, RECORDS, ORDER, EXPIRIES, DEVELOPMENT, PEPPER_USES =
  KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]

local function index(key_id, is_new, owner_before, owner_after)
  if is_new then
    redis.call('ZADD', ORDER, redis.call('HINCRBY', META, 'sequence', 1), key_id)
  else
    redis.call('ZREM', owner_before, key_id)
  end
  redis.call('ZADD', owner_after, redis.call('ZSCORE', ORDER, key_id), key_id)
end

local function plan_expiry(key_id, expiry)
  if expiry == '' then
    redis.call('ZREM', EXPIRIES, key_id)
  elseif expiry ~= 'keep' then
    redis.call('ZADD', EXPIRIES, expiry, key_id)
  end
end

local function count_pepper(before, after)
  if before == after then
    return
  end
  redis.call('HINCRBY', PEPPER_USES, after, 1)
  if before ~= '' and redis.call('HINCRBY', PEPPER_USES, before, -1) <= 0 then
    redis.call('HDEL', PEPPER_USES, before)
  end
end

if ARGV[3] == '1' then
  if redis.call('HEXISTS', META, 'bootstrapped') == 1 then
    return { 'bootstrapped' }
  end
end
local count, added = (#ARGV - FIXED_ARGS) / ARGS_EACH, 0
for at = 0, count - 1 do
  local arg = FIXED_ARGS + at * ARGS_EACH
  if (redis.call('HGET', RECORDS, ARGV[arg + 1]) or '') ~= ARGV[arg + 2] then
    return { 'changed' }
  end
  added = added + (ARGV[arg + 2] == '' and 1 or 0)
end
if added > 0 and redis.call('ZCARD', ORDER) + added > tonumber(ARGV[4]) then
  return { 'full' }
end
if ARGV[3] == '1' then
  redis.call('HSET', META, 'bootstrapped', '1')
end

local answer = { 'done' }
for at = 0, count - 1 do
  local key, arg = FIXED_KEYS + at * KEYS_EACH, FIXED_ARGS + at * ARGS_EACH
  local key_id, before = ARGV[arg + 1], ARGV[arg + 2]
  local revision = log_change(key_id, ARGV[arg + 4], ARGV[arg + 5], ARGV[1])
  redis.call('HSET', RECORDS, key_id, revision .. ' ' .. ARGV[arg + 3])
  index(key_id, before == '', KEYS[key + 1], KEYS[key + 2])
  plan_expiry(key_id, ARGV[arg + 6])
  redis.call(ARGV[arg + 7] == '1' and 'SADD' or 'SREM', DEVELOPMENT, key_id)
  count_pepper(ARGV[arg + 8], ARGV[arg + 9])
  audit(AUDIT, AUDIT_BY_KEY, revision, ARGV[arg + 10], ARGV[2])
  answer[at + 2] = revision
end
return answer
