package redis

import (
	_ "embed"

	"github.com/redis/rueidis"
)

// Each atomic step is one script. All keys of a store begin as the key that is passed:
// the scripts make the others from it, which a Redis Cluster allows because of the
// hash tag that all have.
//
// The first line says how Redis treats a script. None says no-writes, though some write
// nothing: a script that might write is refused by a replica, and by a primary that
// min-replicas-to-write cuts off, so nobody reads a copy that is not the authoritative
// one (REV-03). What must go on when memory is full has allow-oom.
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
	softScript     = script("flags=allow-oom", "return redis.call('HSET', KEYS[1], 'durable', '0')") // from here on a restart loses
)

func script(flags string, parts ...string) *rueidis.Lua {
	text := "#!lua " + flags + "\nlocal prefix = string.sub(KEYS[1], 1, -5)\n"
	for _, p := range parts {
		text += p
	}
	return rueidis.NewLuaScript(text)
}
