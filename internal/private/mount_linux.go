package private

import "syscall"

// readOnly reports whether path is on a file system that is mounted read-only.
func readOnly(path string) bool {
	const flag = 1 // ST_RDONLY of statfs(2)
	var at syscall.Statfs_t
	return syscall.Statfs(path, &at) == nil && at.Flags&flag != 0
}
