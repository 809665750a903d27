-- Indexes entries of the audit log that were written before there was an index, some at once, the oldest first. How far it has come
-- is kept, so that any service may go on. A service of an older version writes an older schema: then it begins again.
-- KEYS: meta, log, audit, audit_by_key. ARGV: at most so many.
-- Returns 1 if there may be more, else 0.

local ALL = 'all'

if tonumber(redis.call('HGET', KEYS[1], 'schema') or SCHEMA) < SCHEMA then
  redis.call('HDEL', KEYS[1], 'audit_indexed')
  redis.call('UNLINK', KEYS[4])
  redis.call('HSET', KEYS[1], 'schema', SCHEMA)
end
local indexed = redis.call('HGET', KEYS[1], 'audit_indexed')
if indexed == ALL then
  return 0
end
local entries = redis.call('XRANGE', KEYS[3], indexed and '(' .. indexed or '-', '+', 'COUNT', ARGV[1])
for at, entry in ipairs(entries) do
  redis.call('ZADD', KEYS[4], 0, audit_place(entry[2][2], string.match(entry[1], '^%d+')))
  indexed = entry[1]
end
local more = #entries == tonumber(ARGV[1])
redis.call('HSET', KEYS[1], 'audit_indexed', more and indexed or ALL)
return more and 1 or 0
