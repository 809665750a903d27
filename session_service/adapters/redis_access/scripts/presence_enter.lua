-- Note that clients are on a service; each joins with its first entry. An entry of the same process of an earlier generation is
-- replaced. The join time is the earliest of all entries.
-- KEYS: presence. ARGV: PUBLISH or SPUBLISH, pub/sub channel, process, service, then per client: client, type, join time ms
-- Returns how many joined.
local is_ours = of_process(ARGV[3])
for place = 5, #ARGV, 3 do
  local client = ARGV[place]
  local entry = {ARGV[4], ARGV[place + 1], tonumber(ARGV[place + 2])}
  local before = entries_of(KEYS[1], client)
  local _, entries = split(before, is_ours)
  if #before == 0 then
    note_change(1, client, entry)
  else
    entry[3] = math.min(entry[3], earliest(before)[3])
  end
  entries[#entries + 1] = entry
  keep(KEYS[1], client, entries)
end
return publish_changes(ARGV[1], ARGV[2])
