-- Say where a channel stands; it gets an epoch if it is new. Where history went back behind what a subscriber has seen
-- (a fail-over to a replica that lacked the newest, a crash without fsync), offsets would be given twice: another epoch.
-- KEYS: meta. ARGV: new epoch, epoch and offset that the subscriber has seen ('' and 0: none)
-- Returns epoch, head.
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head')
local epoch, head = v[1], v[2] or '0'
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
elseif epoch == ARGV[2] and tonumber(head) < tonumber(ARGV[3]) then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'start', head)
end
return {epoch, head}
