-- Renew the lease of a service, by the server's clock. A lease that is over is not renewed: its service stays dead.
-- KEYS: services (service -> when its lease is over, in ms). ARGV: service, lease ms, 1: it is new, ms of no lease
-- Returns 1 if the lease holds, the services whose leases hold, and those whose leases are over.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local over = redis.call('ZSCORE', KEYS[1], ARGV[1])
local holds = over and tonumber(over) > now or not over and ARGV[3] == '1'
if holds then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
end
-- A lease that has longer to go than any is given: the clock was set back. Who is dead must not live until it is as late again.
local never = string.format('%.0f', now + tonumber(ARGV[4]))
for _, service in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. never, '+inf', 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), service)
end
local bound = string.format('%.0f', now)
return {
  holds and 1 or 0,
  redis.call('ZRANGE', KEYS[1], '(' .. bound, '+inf', 'BYSCORE'),
  redis.call('ZRANGE', KEYS[1], '-inf', bound, 'BYSCORE', 'LIMIT', 0, 100),
}
