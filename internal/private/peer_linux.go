package private

import (
	"net"
	"syscall"
)

// Peer returns the user at the other end of a Unix socket (SO_PEERCRED, unix(7)). ok is false
// if the system does not tell.
func Peer(c *net.UnixConn) (uid uint32, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *syscall.Ucred
	failed := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if failed != nil || err != nil {
		return 0, false
	}
	return cred.Uid, true
}
