-- Note that clients are not on a process any more; each leaves with its last entry. Idempotent.
-- KEYS: presence. ARGV: PUBLISH or SPUBLISH, pub/sub channel, process, clients
-- Returns how many left.
local is_ours = of_process(ARGV[3])
for place = 4, #ARGV do
  local client = ARGV[place]
  local ours, others = split(entries_of(KEYS[1], client), is_ours)
  if #ours > 0 then
    keep(KEYS[1], client, others)
    if #others == 0 then
      note_change(0, client, earliest(ours))
    end
  end
end
return publish_changes(ARGV[1], ARGV[2])
