-- KEYS: meta, acknowledged, baselines. ARGV: client (or ''), offset
-- Returns the epoch and the client's offset ('' and -1: none), and how many acknowledged the message with this offset.
local v = redis.call('HMGET', KEYS[1], 'epoch', 'acks_epoch', 'formers')
if not v[2] then
  return {'', -1, 0}
end
local count = 0
if v[1] == v[2] or tonumber(ARGV[2]) <= (shared_with(v[3], v[2]) or 0) then
  -- A baseline is never above what its client has acknowledged: who begins at or after the offset is counted twice.
  count = redis.call('ZCOUNT', KEYS[2], ARGV[2], '+inf') - redis.call('ZCOUNT', KEYS[3], ARGV[2], '+inf')
end
local offset = redis.call('ZSCORE', KEYS[2], ARGV[1])
return {v[2], offset and string.format('%.0f', offset) or -1, count}
