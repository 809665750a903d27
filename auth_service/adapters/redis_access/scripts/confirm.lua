-- Writes what changes nothing, if a key still is what the caller saw: replicas that have this have all before it.
-- KEYS: meta, log, records. ARGV: key_id, value ('' if there was none).
-- Returns {outcome, ''}; the outcome is 'done' or 'changed'.

if (redis.call('HGET', KEYS[3], ARGV[1]) or '') ~= ARGV[2] then
  return { 'changed', '' }
end
redis.call('HSET', KEYS[1], 'schema', SCHEMA)
return { 'done', '' }
