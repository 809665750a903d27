-- Reads a page of keys in the order they were made.
-- KEYS: index (all, or those of one owner), records. ARGV: after this sequence, at most so many.
-- Returns {sequence, value, sequence, value, ...}.

local found = {}
local index = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #index, 2 do
  found[at] = index[at + 1]
  found[at + 1] = redis.call('HGET', KEYS[2], index[at]) or ''
end
return found
