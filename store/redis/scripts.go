package redis

import (
	_ "embed"

	"github.com/redis/rueidis"
)

// Each atomic step is one script. A script gets one key and derives all other keys of the
// store from it. A Redis Cluster allows that, because all of them have the same hash tag.
//
// The first line of a script has its flags. No script has no-writes, even if it writes
// nothing: a replica refuses a script that might write, and so does a primary that
// min-replicas-to-write cuts off. So a script always reads the authoritative copy (REV-03).
// A script that must run when memory is full has allow-oom.
var (
	//go:embed lua/head.lua
	headLua string
	//go:embed lua/records.lua
	recordsLua string
	//go:embed lua/commit.lua
	commitLua string
	//go:embed lua/log.lua
	logLua string
	//go:embed lua/ids.lua
	idsLua string
	//go:embed lua/sweep.lua
	sweepLua string
	//go:embed lua/sweeplog.lua
	sweepLogLua string

	putScript      = script("", headLua, recordsLua, commitLua)
	commitScript   = script("flags=allow-oom", headLua, recordsLua, commitLua) // revokes, or only deletes
	logScript      = script("flags=allow-oom", headLua, logLua)
	idsScript      = script("flags=allow-oom", recordsLua, idsLua)
	sweepScript    = script("flags=allow-oom", recordsLua, sweepLua)
	sweepLogScript = script("flags=allow-oom", sweepLogLua)
	timeScript     = script("flags=allow-oom", "return redis.call('TIME')")
	lossyScript    = script("flags=allow-oom", "return redis.call('HSET', KEYS[1], 'durable', '0')") // after this a restart begins a new epoch
)

func script(flags string, parts ...string) *rueidis.Lua {
	text := "#!lua " + flags + "\nlocal prefix = string.sub(KEYS[1], 1, -5)\n"
	for _, p := range parts {
		text += p
	}
	return rueidis.NewLuaScript(text)
}
