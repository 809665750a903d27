-- Holds peppers against those that the keys were made with, and remembers them if they are right.
-- KEYS: pepper_uses, peppers. ARGV: version, fingerprint, version, fingerprint, ...
-- Returns {outcome, version}; the outcome is 'done', 'missing' or 'other'.

local given = {}
for at = 1, #ARGV, 2 do
  given[ARGV[at]] = ARGV[at + 1]
end
for _, version in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not given[version] then
    return { 'missing', version }
  end
  if (redis.call('HGET', KEYS[2], version) or given[version]) ~= given[version] then
    return { 'other', version }
  end
end
for version, fingerprint in pairs(given) do
  redis.call('HSET', KEYS[2], version, fingerprint)
end
return { 'done', '' }
