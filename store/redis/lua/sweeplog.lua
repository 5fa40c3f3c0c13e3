-- Sweeps a page of the log. ARGV: 1 is where to begin; 2 is how many entries to check; 3 is
-- the time before which an entry has expired. The script answers how many entries it has
-- checked, and the id of the last one.
local page = redis.call('XRANGE', prefix .. 'log', ARGV[1], '+', 'COUNT', ARGV[2])
for _, entry in ipairs(page) do
  local expires = tonumber(entry[2][6])
  if expires > 0 and expires < tonumber(ARGV[3]) then
    redis.call('XDEL', prefix .. 'log', entry[1])
  end
end
return {tostring(#page), page[#page] and page[#page][1] or ''}
