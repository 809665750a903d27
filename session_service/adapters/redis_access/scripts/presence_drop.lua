-- Drop the entries of a dead service, some at a time. Idempotent, also when two do it at once.
-- KEYS: presence. ARGV: PUBLISH or SPUBLISH, pub/sub channel, service, cursor ('0': begin), how many to look at
-- Returns the cursor to go on with ('0': done), and how many left.
local function is_dead(service)
  return service == ARGV[3]
end
local scanned = redis.call('HSCAN', KEYS[1], ARGV[4], 'COUNT', ARGV[5])
local found = scanned[2]
for place = 1, #found, 2 do
  if string.find(found[place + 1], ARGV[3], 1, true) then
    local client = found[place]
    local dead, others = split(entries_of(KEYS[1], client), is_dead)
    if #dead > 0 then
      keep(KEYS[1], client, others)
      if #others == 0 then
        note_change(0, client, earliest(dead))
      end
    end
  end
end
return {scanned[1], publish_changes(ARGV[1], ARGV[2])}
