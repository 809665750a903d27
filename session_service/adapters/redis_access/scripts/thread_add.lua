-- Note that a message belongs to a thread. Idempotent: a repeated publish repairs what a crash left out.
-- KEYS: references (reference -> number, in the order they came), times. ARGV: thread id, reference, time ms, max references
if redis.call('ZSCORE', KEYS[1], ARGV[2]) then
  return 0
end
local newest = redis.call('ZRANGE', KEYS[1], 0, 0, 'REV', 'WITHSCORES')
redis.call('ZADD', KEYS[1], string.format('%.0f', (tonumber(newest[2]) or 0) + 1), ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
local last = tonumber(redis.call('HGET', KEYS[2], ARGV[1])) or 0
if tonumber(ARGV[3]) > last then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
end
return 1
