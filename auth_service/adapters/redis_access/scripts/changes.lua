-- Reads the log from a revision on, that one included, so that the caller sees if it is the one it knows.
-- KEYS: meta, log. ARGV: revision, at most so many entries.
-- Returns {last revision, its stamp, oldest revision in the log or '', entries}; an entry is {id, fields}.

local last = redis.call('HMGET', KEYS[1], 'revision', 'stamp')
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local entries = redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', ARGV[2])
return { last[1] or '0', last[2] or '', oldest and oldest[1] or '', entries }
