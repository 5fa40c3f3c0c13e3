-- Reads records: ARGV 1 is the kind, the others are ids.
local blobs = {}
for i = 2, #ARGV do
  blobs[i - 1] = redis.call('HGET', hashkey(ARGV[1], ARGV[i]), ARGV[i])
end
return blobs
