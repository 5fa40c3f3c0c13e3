//go:build unix && !linux

package testsvc

import "syscall"

// attributes of other systems than Linux cannot end a child together with its parent. There
// the servers of a killed test process keep running.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
