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

-- Give a channel another epoch, after its present head; return that epoch, and the former ones.
local function renew(meta, epoch, head, formers, new_epoch)
  local kept = {epoch .. ' ' .. head}
  for former, offset in string.gmatch(formers or '', '(%S+) (%d+)') do
    if #kept < MAX_FORMERS then
      kept[#kept + 1] = former .. ' ' .. offset
    end
  end
  local all = table.concat(kept, ' ')
  redis.call('HSET', meta, 'epoch', new_epoch, 'start', head, 'formers', all)
  return new_epoch, all
end

-- Note which server process has a channel now; another epoch if it may lack something. Return the epoch, and the former ones.
local function at_home(meta, epoch, head, run, formers, new_epoch, server, lossless)
  if run == server then
    return epoch, formers
  end
  redis.call('HSET', meta, 'run', server)
  if not epoch or lossless == '1' then
    return epoch, formers
  end
  return renew(meta, epoch, head, formers, new_epoch)
end
