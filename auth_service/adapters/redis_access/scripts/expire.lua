-- Logs expiries, each once: what another process has logged or changed meanwhile is left alone.
-- KEYS: meta, log, records, expiries.
-- ARGV: log size, then for each key: key_id, value before ('' if there was none), code, stamp.
-- Returns the next expiry to come as {milliseconds}, or {}.

for at = 2, #ARGV, 4 do
  local key_id, before = ARGV[at], ARGV[at + 1]
  if redis.call('ZSCORE', KEYS[4], key_id) and (redis.call('HGET', KEYS[3], key_id) or '') == before then
    redis.call('ZREM', KEYS[4], key_id)
    if before ~= '' then
      local revision = log_change(key_id, ARGV[at + 2], ARGV[at + 3], ARGV[1])
      redis.call('HSET', KEYS[3], key_id, revision .. string.sub(before, string.find(before, ' ', 1, true), -1))
    end
  end
end
local next_one = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
return { next_one[2] }
