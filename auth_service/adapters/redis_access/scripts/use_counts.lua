-- Reads how many uses were charged to keys.
-- KEYS: of each key its uses. Returns a count for each; '0' if there is none.

local counts = {}
for at, uses in ipairs(KEYS) do
  counts[at] = redis.call('HGET', uses, 'use_count') or '0'
end
return counts
