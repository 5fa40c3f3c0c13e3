//go:build unix && !linux

package testsvc

import "syscall"

// attributes: only Linux ends a child with its parent. Elsewhere the servers of a
// test process that was killed stay.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
