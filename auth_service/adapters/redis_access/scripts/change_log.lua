-- Put before each script that writes: the next revision and its entry in the log. KEYS[1] meta, KEYS[2] log.
-- The streams' ids are the revisions. A `stamp` is random, so that an entry that replaced a lost one is known.

local SCHEMA = 2

local function log_change(key_id, code, stamp, log_size)
  local revision = string.format('%d', (redis.call('HGET', KEYS[1], 'revision') or 0) + 1)
  redis.call('XADD', KEYS[2], revision .. '-0', 'key_id', key_id, 'code', code, 'stamp', stamp)
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', log_size)
  redis.call('HSET', KEYS[1], 'revision', revision, 'stamp', stamp, 'schema', SCHEMA)
  return revision
end

local function audit(log, revision, entry, log_size)
  redis.call('XADD', log, 'MAXLEN', '=', log_size, revision .. '-0', 'entry', entry)
end
