-- Note what clients have seen, within the channel's present epoch; it never goes back.
-- KEYS: meta, acknowledged (client -> offset), baselines (client -> offset after which its acknowledgements count)
-- ARGV: per client: client, epoch, start, offset
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'acks_epoch')
local epoch, head = v[1], tonumber(v[2]) or 0
if not epoch then
  return 0
end
for place = 1, #ARGV, 4 do
  local client, start, offset = ARGV[place], tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3])
  if ARGV[place + 1] == epoch then
    if v[3] ~= epoch then
      redis.call('DEL', KEYS[2], KEYS[3])
      redis.call('HSET', KEYS[1], 'acks_epoch', epoch)
      v[3] = epoch
    end
    start, offset = math.min(start, head), math.min(offset, head)
    local present = redis.call('ZSCORE', KEYS[2], client)
    if not present then
      redis.call('ZADD', KEYS[2], offset, client)
      if start > 0 then
        redis.call('ZADD', KEYS[3], start, client)
      end
    elseif start ~= offset then
      redis.call('ZADD', KEYS[2], 'GT', offset, client)
    end
  end
end
return 1
