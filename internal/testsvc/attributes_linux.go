package testsvc

import "syscall"

// attributes makes the kernel send SIGQUIT to the server when the test process ends, even if
// that was killed. On SIGQUIT PostgreSQL ends at once and releases its shared memory. Redis
// ends too.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
