-- Note what clients have seen, within the channel's present epoch; it never goes back.
-- KEYS: meta, acknowledged (client -> offset), baselines (client -> offset after which its acknowledgements count)
-- ARGV: per client: client, epoch, start, offset
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'acks_epoch', 'formers')
local epoch, head = v[1], tonumber(v[2]) or 0
if not epoch then
  return 0
end

-- Take over what was acknowledged in an earlier epoch, as far as that is the same as this one.
local function take_over()
  local shared = v[3] and shared_with(v[4], v[3])
  if shared then
    for _, key in ipairs({KEYS[2], KEYS[3]}) do
      for _, client in ipairs(redis.call('ZRANGE', key, '(' .. shared, '+inf', 'BYSCORE')) do
        redis.call('ZADD', key, shared, client)
      end
    end
  else
    redis.call('DEL', KEYS[2], KEYS[3])
  end
  redis.call('HSET', KEYS[1], 'acks_epoch', epoch)
  v[3] = epoch
end

for place = 1, #ARGV, 4 do
  local client, start, offset = ARGV[place], tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3])
  local last = ARGV[place + 1] == epoch and head or shared_with(v[4], ARGV[place + 1])
  if last then
    if v[3] ~= epoch then
      take_over()
    end
    start, offset = math.min(start, last), math.min(offset, last)
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
