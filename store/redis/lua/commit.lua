-- One commit. ARGV from 5: whether to begin another epoch, then lists, each after its
-- length: conditions (kind, id, revision), owned (kind, owner), deletes (kind, id),
-- puts (kind, id, revision, record), entries (stride, scope, id, expiry, reason).
-- An empty revision means that the record is absent. The script answers epoch and seq. If it
-- has done nothing it answers one word: "conflict", or the word that head returned.
local at = 5
local function take(n)
  local from = at
  at = at + n
  return unpack(ARGV, from, at - 1)
end

local function list(width)
  local rows = {}
  for i = 1, tonumber(take(1)) do
    rows[i] = {take(width)}
  end
  return rows
end

local newEpoch = take(1) == '1'
local requires, owns, deletes, puts, entries = list(3), list(2), list(2), list(4), list(5)

local epoch, seq
if not newEpoch then
  epoch, seq = head()
  if not epoch then
    return {seq}
  end
end

local function matches(blob, rev)
  if not blob then
    return rev == ''
  end
  local from = 8 + string.byte(blob, 7)
  return rev ~= '' and string.sub(blob, from, from + #rev - 1) == rev
end

for _, rows in ipairs({requires, puts}) do
  for _, r in ipairs(rows) do
    if not matches(redis.call('HGET', hashkey(r[1], r[2]), r[2]), r[3]) then
      return {'conflict'}
    end
  end
end

if newEpoch then
  epoch, seq = head(true)
  if not epoch then
    return {seq}
  end
end

local function delete(kind, id)
  local key = hashkey(kind, id)
  local blob = redis.call('HGET', key, id)
  if blob then
    drop(kind, id, key, blob)
  end
end

for _, o in ipairs(owns) do
  for _, id in ipairs(owned(o[1], o[2])) do
    delete(o[1], id)
  end
end
for _, d in ipairs(deletes) do
  delete(d[1], d[2])
end

for _, p in ipairs(puts) do
  local kind, id, blob = p[1], p[2], p[4]
  local key = hashkey(kind, id)
  local old = redis.call('HGET', key, id)
  local own = owner(blob)
  if not old or owner(old) ~= own then
    if old then
      drop(kind, id, key, old)
    end
    if own ~= '' then
      local set, hash = ownerkey(kind, own)
      redis.call('ZADD', set, 0, hash .. id)
    end
  end
  redis.call('HSET', key, id, blob)
  -- A record that expires is in the list of its slice of 1024 seconds. It stays in that list
  -- when it is deleted, or when its expiry changes: the sweep reads the record itself.
  local expires, before = expiry(blob), old and expiry(old) or 0
  local slice = math.floor(expires / 1024)
  if expires > 0 and not (before > 0 and math.floor(before / 1024) == slice) then
    if redis.call('RPUSH', prefix .. 'x:' .. kind .. ':' .. slice, id) == 1 then
      redis.call('ZADD', prefix .. 'slices', slice, kind .. ':' .. slice)
    end
  end
end

if #entries > 0 then
  for _, e in ipairs(entries) do
    seq = seq + tonumber(e[1])
    redis.call('XADD', logkey, text(seq) .. '-0', 's', e[2], 'i', e[3], 'x', e[4], 'r', e[5])
  end
  redis.call('HSET', KEYS[1], 'seq', text(seq))
  redis.call('PUBLISH', channel, text(seq))
end
return {epoch, text(seq)}
