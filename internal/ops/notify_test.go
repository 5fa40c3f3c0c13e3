package ops

import (
	"net"
	"path/filepath"
	"testing"
)

func TestNotify(t *testing.T) {
	var s Server
	if err := s.notify("READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.opts.NotifySocket = path
	if err := s.notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	n, err := l.Read(got)
	if err != nil || string(got[:n]) != "READY=1" {
		t.Errorf("systemd is told %q, %v", got[:n], err)
	}
}
