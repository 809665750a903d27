-- Notes which server process has the store now. One that may lack the newest changes, after a fail-over or a crash, would give
-- revisions out twice: then the log begins anew, far behind all that were given out, and every watcher must start over.
-- KEYS: meta, log. ARGV: run id of the server, '1' if it has everything that its predecessor confirmed, stamp.
-- Returns 1 if the log begins anew.

local JUMP = 1048576

local run = redis.call('HGET', KEYS[1], 'run')
if run == ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'run', ARGV[1])
if not run or ARGV[2] == '1' then
  return 0
end
redis.call('DEL', KEYS[2])
redis.call('HINCRBY', KEYS[1], 'revision', JUMP)
redis.call('HSET', KEYS[1], 'stamp', ARGV[3], 'schema', SCHEMA)
return 1
