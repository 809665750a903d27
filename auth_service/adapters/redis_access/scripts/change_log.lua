-- Put before each script that writes: the next revision and its entry in the log. KEYS[1] meta, KEYS[2] log.
-- The streams' ids are the revisions. A `stamp` is random, so that an entry that replaced a lost one is known.

local SCHEMA = 3

local function log_change(key_id, code, stamp, log_size)
  local revision = string.format('%d', (redis.call('HGET', KEYS[1], 'revision') or 0) + 1)
  redis.call('XADD', KEYS[2], revision .. '-0', 'key_id', key_id, 'code', code, 'stamp', stamp)
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', log_size)
  redis.call('HSET', KEYS[1], 'revision', revision, 'stamp', stamp, 'schema', SCHEMA)
  return revision
end

-- The audit log is a stream too. Its index by key is a sorted set of a place for each entry, in the order of the places' letters:
-- the entries of a key lie together, and from the oldest to the newest.
local CUT_AT_ONCE = 1000

local function audit_place(entry, revision)
  return cjson.decode(entry).key_id .. ':' .. string.format('%016d', revision)
end

local function audit(log, by_key, revision, entry, log_size)
  redis.call('XADD', log, revision .. '-0', 'entry', entry)
  redis.call('ZADD', by_key, 0, audit_place(entry, revision))
  local kept = redis.call('XLEN', log)
  local excess = math.min(kept - log_size, CUT_AT_ONCE)
  if excess > 0 then
    for _, oldest in ipairs(redis.call('XRANGE', log, '-', '+', 'COUNT', excess)) do
      redis.call('ZREM', by_key, audit_place(oldest[2][2], string.match(oldest[1], '^%d+')))
    end
    redis.call('XTRIM', log, 'MAXLEN', '=', kept - excess)
  end
end
