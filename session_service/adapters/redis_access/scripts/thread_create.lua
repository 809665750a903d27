-- Store a thread, unless there is one with its id.
-- KEYS: thread, order (thread id -> number), references of its messages, time of the newest message by thread id
-- ARGV: now or '', max threads, thread id, then fields and values
-- Returns 1: it was there, 0: it is new, -1: too many.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then
  return -1
end
local newest = redis.call('ZRANGE', KEYS[2], 0, 0, 'REV', 'WITHSCORES')
redis.call('ZADD', KEYS[2], string.format('%.0f', (tonumber(newest[2]) or 0) + 1), ARGV[3])
redis.call('HSET', KEYS[1], 'create_time_ms', int(now_ms(ARGV[1])), unpack(ARGV, 4))
return 0
