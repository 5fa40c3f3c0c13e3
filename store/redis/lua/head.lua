-- The head of the log. KEYS[1] is the hash that holds it. epoch and seq are the head,
-- run is the process that wrote it, durable is 1 if that process writes to disk before
-- it answers; was:E is where the log of an earlier epoch E ended.
--
-- Another process means a restart or a failover. If that may have lost the end of the
-- log, another epoch begins here, before anything else is done. If it did lose entries,
-- which a caller shows who was told of a later one, nothing is done until a commit says
-- that a new epoch shall begin: what the entries revoked may be back (REV-09).
--
-- ARGV: 1 an epoch to begin if need be, 2 and 3 epoch and seq that the caller has seen,
-- 4 the process that the caller knows, and whether it is durable: "run 1".
local channel = prefix .. 'moved'
local logkey = prefix .. 'log'
local never = '9007199254740992' -- no log gets so far

local function begin(run, durable)
  redis.call('UNLINK', logkey)
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'run', run, 'durable', durable)
  redis.call('PUBLISH', channel, ARGV[1])
  return ARGV[1], 0, run, durable
end

-- Begins an epoch for a caller who knows that entries may be lost: whoever saw more of
-- an earlier one is answered by that.
local function anew(run, durable)
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

-- Returns epoch, seq, run and durable; or nil and one word: "unknown", if the caller
-- must get to know this process first, or "lost". With fresh, a new epoch begins.
local function head(fresh)
  local h = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run', 'durable', 'was:' .. ARGV[2])
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local known, durable = string.match(ARGV[4], '^(%x+) ([01])$')
  if h[3] ~= run and known ~= run then
    return nil, 'unknown'
  end
  if fresh then
    return anew(run, h[3] == run and h[4] or durable)
  end
  local seen = tonumber(ARGV[3])
  local ended = h[1] == ARGV[2] and h[2] or h[5]
  if h[1] and ended and tonumber(ended) < seen or not h[1] and seen > 0 then
    return nil, 'lost'
  end
  local epoch, seq = h[1], tonumber(h[2] or '0')
  if epoch and seq > 0 and redis.call('EXISTS', logkey) == 0 then
    return nil, 'lost' -- somebody deleted it, or memory ran out under another policy
  end
  if epoch and h[3] == run then
    return epoch, seq, run, h[4]
  end
  -- A promoted replica knows the replication id that it followed; it may not have got all.
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
