-- What a channel still keeps, looked at whenever it is written to or read: no background work, nothing to forget.
-- meta: hash with epoch, head, low, total, low_total, oldest, start; log: stream, entry id <offset>-0, fields
-- b (body), t (milliseconds), s (weight of everything up to and including it), w (its own), and h (thread) where it has one.

local MAX_STEPS = 2000

local function int(number)
  return string.format('%.0f', number)
end

local function now_ms(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Time and cumulative weight of one message, or nothing when it is gone.
local function at(log, offset)
  local id = int(offset) .. '-0'
  local entry = redis.call('XRANGE', log, id, id)[1]
  if entry then
    return tonumber(entry[2][4]), tonumber(entry[2][6])
  end
end

-- Move low to where the three bounds want it; return it. At most MAX_STEPS messages a call go by age or bytes.
local function trim(meta, log, now, max_messages, max_age_ms, max_bytes)
  local v = redis.call('HMGET', meta, 'head', 'low', 'total', 'low_total', 'oldest')
  local head, low = tonumber(v[1]) or 0, tonumber(v[2]) or 0
  local total, low_total, oldest = tonumber(v[3]) or 0, tonumber(v[4]) or 0, tonumber(v[5]) or 0
  if low >= head or (head - low <= max_messages and oldest >= now - max_age_ms and total - low_total <= max_bytes) then
    return low
  end
  local new = math.max(low, head - max_messages)
  if new > low then
    local _, weight = at(log, new)
    low_total = weight or total
  end
  for _ = 1, MAX_STEPS do
    local time, weight = at(log, new + 1)
    if not time then
      new, low_total = head, total
      break
    end
    oldest = time
    if time >= now - max_age_ms and total - low_total <= max_bytes then
      break
    end
    new, low_total = new + 1, weight
    if new == head then
      break
    end
  end
  redis.call('HSET', meta, 'low', int(new), 'low_total', int(low_total), 'oldest', int(oldest))
  redis.call('XTRIM', log, 'MINID', int(new + 1) .. '-0')
  return new
end
