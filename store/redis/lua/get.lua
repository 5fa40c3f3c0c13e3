-- Reads records: ARGV is the kind and the id of each.
local blobs = {}
for i = 1, #ARGV, 2 do
  blobs[#blobs + 1] = redis.call('HGET', hashkey(ARGV[i], ARGV[i + 1]), ARGV[i + 1])
end
return blobs
