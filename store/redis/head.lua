-- The head of the log. KEYS[1] is the hash that holds it; every other key has the
-- same prefix, and so the same hash tag and slot.
--
-- epoch and seq are the head, run is the process that wrote last, durable is 1 if
-- it wrote to disk before it answered. The log is unbroken for as long as run stays.
-- Another process means a restart or a failover, which may have lost the end of the
-- log; then another epoch begins here, before anything else is done (REV-09).
--
-- ARGV: 1 an epoch to begin if need be, 2 the epoch and 3 the seq that the caller has
-- seen, 4 the run whose restart lost nothing, as the caller found out.
local prefix = string.sub(KEYS[1], 1, -5)
local channel = prefix .. 'moved'
local logkey = prefix .. 'log'

local function begin(epoch, run)
  redis.call('UNLINK', logkey)
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', '0', 'run', run, 'durable', '0')
  redis.call('PUBLISH', channel, epoch)
  return epoch, 0, run
end

-- Returns epoch, seq and run, or a question for the caller: nil, nil and the run.
local function head()
  local h = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run', 'durable')
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  if not h[1] then
    return begin(ARGV[1], run)
  end
  local seq = tonumber(h[2])
  if h[1] == ARGV[2] and seq < tonumber(ARGV[3]) then
    return begin(ARGV[1], run)
  end
  if h[3] ~= run then
    -- A promoted replica knows the replication id that it followed before.
    local promoted = not string.find(redis.call('INFO', 'replication'), 'master_replid2:0+%s')
    if promoted or h[4] ~= '1' or ARGV[4] == 'lost ' .. run then
      return begin(ARGV[1], run)
    end
    if ARGV[4] ~= 'kept ' .. run then
      return nil, nil, run
    end
    redis.call('HSET', KEYS[1], 'run', run)
  end
  return h[1], seq, run
end

local function text(n) -- an exact decimal number: tostring stops at 14 digits
  return string.format('%.0f', n)
end
