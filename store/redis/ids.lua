-- Reads ids: ARGV 1 is the kind; 2 the owner, or with 3 the number of a hash.
if ARGV[3] then
  return redis.call('HKEYS', prefix .. ARGV[1] .. ':' .. ARGV[3])
end
return owned(ARGV[1], ARGV[2])
