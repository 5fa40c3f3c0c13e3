-- The head of the log. KEYS[1] is the hash that holds it. Its fields: epoch and seq are the
-- head; run is the server process that wrote it; durable is 1 if a restart of that process
-- keeps the whole log; was:E is where the log of an earlier epoch E ended.
--
-- If the process is another one, there was a restart or a failover. The script then decides:
--
-- 1. The restart may have lost the end of the log. The script begins another epoch, before
--    it does anything else.
-- 2. The caller has seen a later head than the log has. Then entries are lost, and sessions
--    that they revoked may be back (REV-09). The script does nothing and answers "lost",
--    until a commit asks for a new epoch.
-- 3. Otherwise the epoch goes on.
--
-- ARGV: 1 is the number for a new epoch, if one begins; 2 and 3 are epoch and seq of the head
-- that the caller has seen; 4 is the process that the caller has inspected, and 1 if it is
-- durable: "run 1".
local channel = prefix .. 'moved'
local logkey = prefix .. 'log'
local never = '9007199254740992' -- larger than the seq of any log

local function begin(run, durable)
  redis.call('UNLINK', logkey)
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'run', run, 'durable', durable)
  redis.call('PUBLISH', channel, ARGV[1])
  return ARGV[1], 0, run, durable
end

-- Begins an epoch for a caller that knows that entries may be lost. It raises the end of every
-- earlier epoch, so that a caller that saw a later head of one is not answered "lost".
local function beginAfterLoss(run, durable)
  local h = redis.call('HGETALL', KEYS[1])
  for i = 1, #h, 2 do
    if string.sub(h[i], 1, 4) == 'was:' then
      redis.call('HSET', KEYS[1], h[i], never)
    elseif h[i] == 'epoch' then
      redis.call('HSET', KEYS[1], 'was:' .. h[i + 1], never)
    end
  end
  if tonumber(ARGV[3]) > 0 then
    redis.call('HSET', KEYS[1], 'was:' .. ARGV[2], never)
  end
  return begin(run, durable)
end

-- Returns epoch, seq, run and durable. Or it returns nil and one word: "unknown" if the caller
-- must inspect this process first, or "lost". With newEpoch it begins a new epoch.
local function head(newEpoch)
  local h = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run', 'durable', 'was:' .. ARGV[2])
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local inspected, durable = string.match(ARGV[4], '^(%x+) ([01])$')
  if h[3] ~= run and inspected ~= run then
    return nil, 'unknown'
  end
  if newEpoch then
    return beginAfterLoss(run, h[3] == run and h[4] or durable)
  end
  local seen = tonumber(ARGV[3])
  local ended = h[1] == ARGV[2] and h[2] or h[5]
  if h[1] and ended and tonumber(ended) < seen or not h[1] and seen > 0 then
    return nil, 'lost'
  end
  local epoch, seq = h[1], tonumber(h[2] or '0')
  if epoch and seq > 0 and redis.call('EXISTS', logkey) == 0 then
    return nil, 'lost' -- a person deleted the log, or the server evicted it
  end
  if epoch and h[3] == run then
    return epoch, seq, run, h[4]
  end
  -- A promoted replica has the replication id of its former primary. It may lack the last
  -- commits.
  local promoted = not string.find(redis.call('INFO', 'replication'), 'master_replid2:0+%s')
  if not epoch or promoted or h[4] ~= '1' or durable ~= '1' then
    if epoch then
      redis.call('HSET', KEYS[1], 'was:' .. epoch, h[2])
    end
    return begin(run, durable)
  end
  redis.call('HSET', KEYS[1], 'run', run)
  return epoch, seq, run, durable
end

local function text(n) -- an exact decimal number: tostring stops at 14 digits
  return string.format('%.0f', n)
end
