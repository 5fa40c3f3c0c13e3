-- Reads ids. ARGV: 1 is the kind; 2 is the owner. If 2 is "*", 3 is the number of the hash to
-- begin at. The script then answers the number of the next hash, and the ids of whole hashes,
-- some thousand in all.
if ARGV[2] ~= '*' then
  return owned(ARGV[1], ARGV[2])
end
local at, ids, n = tonumber(ARGV[3]), {''}, 1
while at < 256 and n < 2000 do
  for _, id in ipairs(redis.call('HKEYS', prefix .. 'r:' .. ARGV[1] .. ':' .. at)) do
    n = n + 1
    ids[n] = id
  end
  at = at + 1
end
ids[1] = tostring(at)
return ids
