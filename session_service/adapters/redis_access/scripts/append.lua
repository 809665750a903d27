-- Store a message once, give it the next offset, and publish it: all of it or nothing.
-- KEYS: meta, log, id (what was stored under this id of this client)
-- ARGV: now or '', new epoch, window ms, max messages, max age ms, max bytes, weight, PUBLISH or SPUBLISH, pub/sub channel,
--       body, milliseconds after which an idle channel is forgotten or 0, replicas that are waited for, the message's thread or
--       '', the server's run id, 1 if it has everything that its predecessor confirmed
-- Returns epoch, offset, time ms, 1 for a duplicate; the thread and the epoch that the message was stored with.
local now = now_ms(ARGV[1])
local window, max_age = tonumber(ARGV[3]), tonumber(ARGV[5])

local known = redis.call('GET', KEYS[3])
local v = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'head', 'formers')
local epoch, formers = at_home(KEYS[1], v[1], v[3] or '0', v[2], v[4], ARGV[2], ARGV[14], ARGV[15])
if known and epoch then
  local offset, time, of = string.match(known, '^(%d+) (%d+) (.*)$')
  local is_kept = of == epoch or tonumber(offset) <= (shared_with(formers, of) or 0)
  if is_kept and tonumber(time) >= now - window then
    if ARGV[12] ~= '0' then
      redis.call('HSET', KEYS[1], 'repeated', int(now))  -- so that WAIT, which looks at this write, covers the first one
    end
    local entry = redis.call('XRANGE', KEYS[2], offset .. '-0', offset .. '-0')[1]
    return {epoch, offset, time, 1, entry and entry[2][10] or '', of}
  end
end
if not epoch then
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end

local offset = redis.call('HINCRBY', KEYS[1], 'head', 1)
local total = redis.call('HINCRBY', KEYS[1], 'total', ARGV[7])
local low = tonumber(redis.call('HGET', KEYS[1], 'low')) or 0
if low == offset - 1 then
  redis.call('HSET', KEYS[1], 'oldest', int(now))
end
local fields = {'b', ARGV[10], 't', int(now), 's', int(total), 'w', ARGV[7]}
if ARGV[13] ~= '' then
  fields[9], fields[10] = 'h', ARGV[13]
end
redis.call('XADD', KEYS[2], int(offset) .. '-0', unpack(fields))
redis.call('SET', KEYS[3], int(offset) .. ' ' .. int(now) .. ' ' .. epoch, 'PX', int(window))
redis.call(ARGV[8], ARGV[9], epoch .. ' ' .. int(offset) .. ' ' .. int(now) .. '\n' .. ARGV[10])
trim(KEYS[1], KEYS[2], now, tonumber(ARGV[4]), max_age, tonumber(ARGV[6]))
-- A quiet channel gives its memory back when all of it is too old; a minute later, so that no clock is in doubt.
redis.call('PEXPIRE', KEYS[2], int(max_age + 60000))
if ARGV[11] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[11])
end
return {epoch, int(offset), int(now), 0, ARGV[13], epoch}
