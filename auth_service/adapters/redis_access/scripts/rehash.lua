-- Puts the hash of a key's secret under another pepper, if the record still is what the caller saw. Its revision stays: nothing
-- changed that a verdict could depend on.
-- KEYS: meta, log, records, pepper_uses. ARGV: key_id, value before, value after, pepper version before and after.
-- Returns {outcome, ''}; the outcome is 'done' or 'changed'.

if redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[2] then
  return { 'changed', '' }
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
if ARGV[4] ~= ARGV[5] then
  redis.call('HINCRBY', KEYS[4], ARGV[5], 1)
  if redis.call('HINCRBY', KEYS[4], ARGV[4], -1) <= 0 then
    redis.call('HDEL', KEYS[4], ARGV[4])
  end
end
return { 'done', '' }
