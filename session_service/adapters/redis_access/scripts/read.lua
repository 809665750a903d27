-- Read messages after an offset, oldest first, or the newest, newest first.
-- KEYS: meta, log
-- ARGV: now or '', max messages, max age ms, max bytes of the channel, 'after' or 'last', offset, limit, weight of the
--       answer; the first message comes whatever it weighs
-- Returns epoch, head, low, start of the epoch, former epochs, entries; nothing for a channel that was never used.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
local low = trim(KEYS[1], KEYS[2], now_ms(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
local v = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'start', 'formers')
local limit, budget = tonumber(ARGV[7]), tonumber(ARGV[8])
local forwards = ARGV[5] == 'after'
local from, to = math.max(tonumber(ARGV[6]), low) + 1, tonumber(v[2] or 0)

local entries = {}
local full = false
while not full and #entries < limit and from <= to do
  local count = math.min(32, limit - #entries)
  local found
  if forwards then
    found = redis.call('XRANGE', KEYS[2], int(from) .. '-0', '+', 'COUNT', count)
  else
    found = redis.call('XREVRANGE', KEYS[2], int(to) .. '-0', int(from) .. '-0', 'COUNT', count)
  end
  if #found == 0 then
    break
  end
  for _, entry in ipairs(found) do
    budget = budget - tonumber(entry[2][8])
    if budget < 0 and #entries > 0 then
      full = true
      break
    end
    local offset = string.match(entry[1], '^%d+')
    entries[#entries + 1] = {offset, entry[2][4], entry[2][2]}
    if forwards then
      from = tonumber(offset) + 1
    else
      to = tonumber(offset) - 1
    end
  end
end
return {v[1], v[2] or '0', int(low), v[3] or '0', v[4] or '', entries}
