//go:build unix

package private

import (
	"io/fs"
	"syscall"
)

func ids(info fs.FileInfo) (uid, gid uint32, ok bool) {
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return is.Uid, is.Gid, true
}
