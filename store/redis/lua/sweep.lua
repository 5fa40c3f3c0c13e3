-- Sweeps a part of one slice. ARGV: 1 is kind:slice; 2 is the position to begin at; 3 is how
-- many ids to check; 4 is the time before which a record has expired. If the whole slice is
-- before that time, the script removes the checked ids from its list. It answers how many ids
-- it has checked, and how many records it has dropped.
local kind, slice = string.match(ARGV[1], '^(%l+):(%d+)$')
local key, from, n, before = prefix .. 'x:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local past = (slice + 1) * 1024 <= before
if past then
  from = 0
end
local ids, dropped = redis.call('LRANGE', key, from, from + n - 1), 0
for _, id in ipairs(ids) do
  local hash = hashkey(kind, id)
  local blob = redis.call('HGET', hash, id)
  if blob and expiry(blob) > 0 and expiry(blob) < before then
    drop(kind, id, hash, blob)
    dropped = dropped + 1
  end
end
if past then
  redis.call('LTRIM', key, #ids, -1)
  if redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', prefix .. 'slices', ARGV[1])
  end
end
return {tostring(#ids), tostring(dropped)}
