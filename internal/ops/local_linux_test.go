package ops

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil/internal/private"
)

// The local socket is for its owner and for root, also where its mode lets others open it.
func TestLocalListenerRefusesOthers(t *testing.T) {
	type visit struct {
		owner private.Owner
		uid   uintptr
		want  string
	}
	const owner = 65532
	visits := []visit{{owner, 0, "hello"}, {owner, owner, "hello"}, {owner, owner + 1, ""}}
	if self := os.Geteuid(); self != 0 { // only root can connect as somebody else
		visits = []visit{{private.Owner(self), uintptr(self), "hello"}, {private.Owner(self + 1), uintptr(self), ""}}
	}
	folder := t.TempDir()
	for name := folder; name != os.TempDir() && name != "/"; name = filepath.Dir(name) {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for n, v := range visits {
		path := filepath.Join(folder, strconv.Itoa(n))
		socket, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		l := &localListener{socket, v.owner, slog.New(slog.DiscardHandler)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte("hello"))
				_ = c.Close()
			}
		}()
		if got, err := dialAs(v.uid, path); err != nil || got != v.want {
			t.Errorf("of user %d, user %d reads %q, %v, want %q", v.owner, v.uid, got, err, v.want)
		}
		_ = l.Close()
		<-done
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
