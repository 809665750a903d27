-- Give a channel another epoch, for a store that was put back from a backup: what others saw behind its head is gone.
-- KEYS: meta. ARGV: new epoch. Returns 1; 0 for a channel that has no epoch.
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'formers')
if not v[1] then
  return 0
end
renew(KEYS[1], v[1], v[2] or '0', v[3], ARGV[1])
return 1
