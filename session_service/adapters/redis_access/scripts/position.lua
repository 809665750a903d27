-- Say where a channel stands; it gets an epoch if it is new, and another one where history went back behind what a
-- subscriber has seen, or may have gone back.
-- KEYS: meta. ARGV: new epoch, epoch and offset that the subscriber has seen ('' and 0: none), the server's run id, 1 if it
--       has everything that its predecessor confirmed
-- Returns epoch, head.
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'run', 'formers')
local head = v[2] or '0'
local epoch, formers = at_home(KEYS[1], v[1], head, v[3], v[4], ARGV[1], ARGV[4], ARGV[5])
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
elseif epoch == ARGV[2] and tonumber(head) < tonumber(ARGV[3]) then
  epoch = renew(KEYS[1], epoch, head, formers, ARGV[1])
end
return {epoch, head}
