-- Return a thread's fields, the number of its messages, and the time of the newest; nothing if there is no such thread.
-- KEYS: thread, references, times. ARGV: thread id
local fields = redis.call('HMGET', KEYS[1], 'title', 'channel', 'created_by', 'create_time_ms', 'metadata')
if not fields[4] then
  return false
end
return {fields, redis.call('ZCARD', KEYS[2]), redis.call('HGET', KEYS[3], ARGV[1]) or '0'}
