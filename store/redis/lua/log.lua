-- Reads the log. ARGV: 5 is the epoch and 6 the seq of the cursor; 7 is the limit.
local epoch, seq = head()
if not epoch then
  return {seq}
end
local after = ARGV[5] == epoch and ARGV[6] or '0'
if tonumber(after) >= seq or ARGV[7] == '0' then
  return {epoch, text(seq), {}}
end
return {epoch, text(seq), redis.call('XRANGE', logkey, '(' .. after .. '-0', '+', 'COUNT', ARGV[7])}
