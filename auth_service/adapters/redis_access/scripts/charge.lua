-- Charges verifications to keys, or only looks what would come of it; the arithmetic is that of `core/charging.py`.
-- The clock is that of the server, so that all services on it go by one.
-- KEYS: of each key its uses. ARGV: '1' to charge; then for each key: cells of its rate at most ('0': it has none), the
-- microseconds after which one of them is back, uses at most ('0': any number).
-- Returns {'done' if anything was charged, else 'same', then for each key: outcome, microseconds to wait, uses left after}.
-- The outcome is 0: good, 1: too often, 2: used up.

local function charge(uses, now, burst, interval, max_uses, charges)
  local found = redis.call('HMGET', uses, 'use_count', 'full_at_us')
  local count, full_at = tonumber(found[1] or 0), tonumber(found[2] or 0)
  local missing = math.min(math.max(full_at - now, 0), burst * interval)
  local wait = missing - (burst - 1) * interval
  if burst > 0 and wait > 0 then
    if charges and full_at - now > missing then
      -- The clock was set back: from now on it is waited for from here.
      redis.call('HSET', uses, 'full_at_us', string.format('%.0f', now + missing))
    end
    return 1, wait, 0
  end
  if max_uses > 0 and count >= max_uses then
    return 2, 0, 0
  end
  if charges then
    if burst > 0 then
      redis.call('HSET', uses, 'full_at_us', string.format('%.0f', now + missing + interval))
    end
    if max_uses > 0 then
      redis.call('HINCRBY', uses, 'use_count', 1)
      redis.call('PERSIST', uses)
    elseif not found[1] then
      -- Nothing is counted: when the rate is full again, there is nothing to remember.
      redis.call('PEXPIRE', uses, string.format('%.0f', math.ceil((missing + interval) / 1000)))
    end
  end
  return 0, 0, max_uses - count - 1
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = { 'same' }
for at, uses in ipairs(KEYS) do
  local first = at * 3 - 1
  local outcome, wait, left =
    charge(uses, now, tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2]), ARGV[1] == '1')
  if outcome == 0 and ARGV[1] == '1' then
    answer[1] = 'done'
  end
  answer[#answer + 1] = outcome
  answer[#answer + 1] = wait
  answer[#answer + 1] = left
end
return answer
