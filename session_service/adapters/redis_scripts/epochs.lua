-- Lives of a channel. Another server process may have taken over, after a crash or a fail-over, and may lack the newest
-- messages: offsets would be given twice. Then the channel gets another epoch. `formers` says of earlier epochs up to which
-- offset they are the same as this one: "epoch offset epoch offset ...", newest first.

local MAX_FORMERS = 8

-- Return up to which offset an earlier epoch is the same as the present one; nothing if it is not known.
local function shared_with(formers, epoch)
  for former, offset in string.gmatch(formers or '', '(%S+) (%d+)') do
    if former == epoch then
      return tonumber(offset)
    end
  end
end

-- Give a channel another epoch, after its present head; return that epoch.
local function renew(meta, epoch, head, formers, new_epoch)
  local kept = {epoch .. ' ' .. head}
  for former, offset in string.gmatch(formers or '', '(%S+) (%d+)') do
    if #kept < MAX_FORMERS then
      kept[#kept + 1] = former .. ' ' .. offset
    end
  end
  redis.call('HSET', meta, 'epoch', new_epoch, 'start', head, 'formers', table.concat(kept, ' '))
  return new_epoch
end
