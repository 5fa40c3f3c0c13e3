package private_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/counterfoil/counterfoil/internal/private"
)

func TestFolder(t *testing.T) {
	folder := t.TempDir()
	for mode, want := range map[fs.FileMode]bool{0o700: true, 0o755: true, 0o757: false, 0o777: false} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		owner, err := private.Folder(folder)
		if _, refused := errors.AsType[*private.Error](err); refused == want || (err == nil) != want {
			t.Errorf("a folder of mode %o: %v", mode, err)
		}
		if err == nil && !owner.Trusts(uint32(os.Geteuid())) {
			t.Errorf("the owner is %d", owner)
		}
	}
	if _, err := private.Folder(filepath.Join(folder, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestFile(t *testing.T) {
	folder := t.TempDir()
	owner, err := private.Folder(folder)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "key")
	if err := owner.File(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for mode, want := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o604: false, 0o602: false} {
		_ = os.Remove(path)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := owner.File(path); (err == nil) != want {
			t.Errorf("a file of mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := private.Owner(12345).File(path); os.Geteuid() != 0 && err == nil {
		t.Error("the file of another user is trusted")
	}
}

// A group has no other member if its number is that of the user; any other may have.
func TestGroup(t *testing.T) {
	self := os.Geteuid()
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	groups = append(groups, os.Getegid())
	if self == 0 { // and may give files away
		groups = []int{0, 12345}
	}
	for _, gid := range groups {
		want, folder := gid == self, t.TempDir()
		path := filepath.Join(folder, "key")
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o640), os.Chown(path, self, gid)); err != nil {
			t.Fatal(err)
		}
		if err := private.Owner(self).File(path); (err == nil) != want {
			t.Errorf("a file that group %d may read: %v", gid, err)
		}
		if err := errors.Join(os.Chmod(folder, 0o770), os.Chown(folder, self, gid)); err != nil {
			t.Fatal(err)
		}
		if _, err := private.Folder(folder); (err == nil) != want {
			t.Errorf("a folder that group %d may change: %v", gid, err)
		}
		if self != 0 {
			continue
		}
		if err := os.Chown(path, 12346, 0); err != nil {
			t.Fatal(err)
		}
		if err := private.Owner(65532).File(path); err == nil {
			t.Error("the file of another user is trusted")
		}
	}
}

func TestPeer(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	uid, ok := private.Peer(c.(*net.UnixConn))
	if ok != (runtime.GOOS == "linux") || ok && uid != uint32(os.Geteuid()) {
		t.Errorf("Peer = %d, %v", uid, ok)
	}
}
