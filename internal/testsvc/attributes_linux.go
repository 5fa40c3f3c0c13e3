package testsvc

import "syscall"

// attributes end the server when the test process ends, however that is killed.
// SIGQUIT ends PostgreSQL at once and lets it give back its shared memory; Redis
// has no other use for it.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
