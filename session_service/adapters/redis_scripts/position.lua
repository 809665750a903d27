-- Say where a channel stands; it gets an epoch if it is new, and another one where history went back behind what a
-- subscriber has seen, or may have gone back.
-- KEYS: meta. ARGV: new epoch, epoch and offset that the subscriber has seen ('' and 0: none), the server's run id, 1 if it
--       has everything that its predecessor confirmed
-- Returns epoch, head.
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'run', 'formers')
local epoch, head = v[1], v[2] or '0'
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'run', ARGV[4])
else
  local may_lack = v[3] ~= ARGV[4] and ARGV[5] ~= '1'
  if may_lack or (epoch == ARGV[2] and tonumber(head) < tonumber(ARGV[3])) then
    epoch = renew(KEYS[1], epoch, head, v[4], ARGV[1])
  end
  if v[3] ~= ARGV[4] then
    redis.call('HSET', KEYS[1], 'run', ARGV[4])
  end
end
return {epoch, head}
