-- Reads a page of the audit log of one key, newest first.
-- KEYS: audit, audit_by_key. ARGV: places from and to, at most so many.
-- Returns entries; an entry is {id, fields}.

local found = {}
for _, place in ipairs(redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])) do
  local revision = string.format('%d', string.match(place, '%d+$'))
  found[#found + 1] = redis.call('XRANGE', KEYS[1], revision, revision)[1]
end
return found
