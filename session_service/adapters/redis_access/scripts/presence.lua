-- Who is present in a channel: a hash, client -> its entries, one for each service on which it is. An entry is
-- {service, connection type, join time ms}; a service is "process.generation". What changes is published in the same step,
-- so that events and hash never contradict each other.

local changes = {}

local function entries_of(key, client)
  local packed = redis.call('HGET', key, client)
  return packed and cmsgpack.unpack(packed) or {}
end

-- Keep a client's entries; whoever has none is not present.
local function keep(key, client, entries)
  if #entries == 0 then
    redis.call('HDEL', key, client)
  else
    redis.call('HSET', key, client, cmsgpack.pack(entries))
  end
end

-- Split entries: those that `is_of` says are of some service, and the others.
local function split(entries, is_of)
  local of, others = {}, {}
  for _, entry in ipairs(entries) do
    local list = is_of(entry[1]) and of or others
    list[#list + 1] = entry
  end
  return of, others
end

-- Return the entry that came first; the one that stands first, of those with the same time.
local function earliest(entries)
  local first = entries[1]
  for _, entry in ipairs(entries) do
    if entry[3] < first[3] then
      first = entry
    end
  end
  return first
end

local function note_change(joined, client, entry)
  changes[#changes + 1] = {joined, client, entry[2], entry[3]}
end

local function publish_changes(word, channel)
  if #changes > 0 then
    redis.call(word, channel, cmsgpack.pack(changes))
  end
  return #changes
end

local function of_process(process)
  local prefix = process .. '.'
  return function(service)
    return string.sub(service, 1, #prefix) == prefix
  end
end
