package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// nginxConf is nginx with one server, whose files are in its own folder.
const nginxConf = `daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    %s
  }
}
`

// nginx is a real nginx with the lines of one server, and with files in dir.
func nginx(t *testing.T, dir, server string) *exec.Cmd {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConf, server), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.Command(testsvc.Program(t, "nginx"), "-p", dir, "-c", "nginx.conf", "-e", "stderr")
}

// listen starts a program, and waits until it listens at address. The end of the test ends it.
func listen(t *testing.T, cmd *exec.Cmd, address string) {
	t.Helper()
	said := &output{}
	cmd.Stderr, cmd.Stdout = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, said)
		}
	})
	for range 3000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended before it listened at %s", cmd.Path, address)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen at %s", cmd.Path, address)
}
