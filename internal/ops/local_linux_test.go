package ops

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil/internal/private"
)

// The local socket is for its owner and for root, also where its mode lets others open it.
func TestLocalListenerRefusesOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as somebody else")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "s")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	for name := folder; name != os.TempDir() && name != "/"; name = filepath.Dir(name) {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	const owner = 65532
	l := &localListener{socket, private.Owner(owner), slog.New(slog.DiscardHandler)}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	for uid, want := range map[uintptr]string{0: "hello", owner: "hello", owner + 1: ""} {
		got, err := dialAs(uid, path)
		if err != nil || got != want {
			t.Errorf("user %d reads %q, %v, want %q", uid, got, err, want)
		}
	}
}

// dialAs reads what the socket at path says to a user.
func dialAs(uid uintptr, path string) (text string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and its user with it
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uid, ^uintptr(0)); errno != 0 {
			err = errno
			return
		}
		c, dialed := net.Dial("unix", path)
		if dialed != nil {
			err = dialed
			return
		}
		defer c.Close()
		var all []byte
		all, err = io.ReadAll(c)
		text = string(all)
	}()
	<-done
	return text, err
}
