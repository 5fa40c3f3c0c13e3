-- The head of the log. KEYS[1] is the hash that holds it. epoch and seq are the head,
-- run is the process that wrote it, durable is 1 if that process writes to disk before
-- it answers. Another process means a restart or a failover. If that may have lost the
-- end of the log, another epoch begins here, before anything else is done (REV-09).
--
-- ARGV: 1 an epoch to begin if need be, 2 and 3 epoch and seq that the caller has seen,
-- 4 the process that the caller knows, and whether it is durable: "run 1".
local channel = prefix .. 'moved'
local logkey = prefix .. 'log'

local function begin(run, durable)
  redis.call('UNLINK', logkey)
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'run', run, 'durable', durable)
  redis.call('PUBLISH', channel, ARGV[1])
  return ARGV[1], 0, run, durable
end

-- Returns epoch, seq, run and durable; or nil, if the caller must get to know this
-- process first.
local function head()
  local h = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run', 'durable')
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  if h[1] and h[3] == run then
    local seq = tonumber(h[2])
    if h[1] == ARGV[2] and seq < tonumber(ARGV[3]) then
      return begin(run, h[4]) -- the data were put back to what they were once
    end
    return h[1], seq, run, h[4]
  end
  local known, durable = string.match(ARGV[4], '^(%x+) ([01])$')
  if known ~= run then
    return nil
  end
  -- A promoted replica knows the replication id that it followed; it may not have got all.
  local promoted = not string.find(redis.call('INFO', 'replication'), 'master_replid2:0+%s')
  if not h[1] or promoted or h[4] ~= '1' or durable ~= '1' then
    return begin(run, durable)
  end
  local seq = tonumber(h[2])
  if h[1] == ARGV[2] and seq < tonumber(ARGV[3]) then
    return begin(run, durable)
  end
  redis.call('HSET', KEYS[1], 'run', run)
  return h[1], seq, run, durable
end

local function text(n) -- an exact decimal number: tostring stops at 14 digits
  return string.format('%.0f', n)
end
