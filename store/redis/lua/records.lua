-- Records. Each is a field of a hash. The name of the field is the packed id. Its value is
-- written by pack.go: format, 5 bytes of expiry, length of the owner, owner, revision, value.
local function hashkey(kind, id)
  local a, b = string.byte(id, -2, -1)
  return prefix .. 'r:' .. kind .. ':' .. (b and (a * 31 + b) % 256 or a)
end

local function expiry(blob)
  local a, b, c, d, e = string.byte(blob, 2, 6)
  return (((a * 256 + b) * 256 + c) * 256 + d) * 256 + e
end

local function owner(blob)
  return string.sub(blob, 8, 7 + string.byte(blob, 7))
end

-- The index by owner is in sorted sets. A member is 10 digits of a hash of kind and owner,
-- then the id. Other digits of the hash choose the sorted set, so that most sets stay small
-- enough for Redis' compact form. If two owners have the same hash, the record decides.
local function ownerkey(kind, own)
  local sum = redis.sha1hex(kind .. ':' .. own)
  return prefix .. 'o:' .. tonumber(string.sub(sum, 1, 4), 16) % 32768, string.sub(sum, 5, 14)
end

local function drop(kind, id, key, blob)
  redis.call('HDEL', key, id)
  local own = owner(blob)
  if own ~= '' then
    local set, hash = ownerkey(kind, own)
    redis.call('ZREM', set, hash .. id)
  end
end

-- Returns the ids of the records of kind and owner. The empty owner has no index.
local function owned(kind, own)
  local ids = {}
  if own == '' then
    for i = 0, 255 do
      local all = redis.call('HGETALL', prefix .. 'r:' .. kind .. ':' .. i)
      for j = 1, #all, 2 do
        if owner(all[j + 1]) == '' then
          ids[#ids + 1] = all[j]
        end
      end
    end
    return ids
  end
  local set, hash = ownerkey(kind, own)
  for _, member in ipairs(redis.call('ZRANGEBYLEX', set, '[' .. hash, '(' .. hash .. '\255')) do
    local id = string.sub(member, 11)
    local blob = redis.call('HGET', hashkey(kind, id), id)
    if blob and owner(blob) == own then
      ids[#ids + 1] = id
    end
  end
  return ids
end
