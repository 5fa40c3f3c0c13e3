package private_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/internal/private"
)

// volume is a volume of a Kubernetes Secret: what is in it is a link to a link to a folder.
func volume(t *testing.T) (path, real string) {
	t.Helper()
	dir := t.TempDir()
	dated := filepath.Join(dir, "..2026_11_30_08_00_00.1234567890")
	real = filepath.Join(dated, "key")
	path = filepath.Join(dir, "key")
	if err := errors.Join(os.Mkdir(dated, 0o755), os.WriteFile(real, []byte("x"), 0o600),
		os.Symlink(filepath.Base(dated), filepath.Join(dir, "..data")), os.Symlink("..data/key", path)); err != nil {
		t.Fatal(err)
	}
	return path, real
}

// A secret that an orchestrator mounted: what others may read is refused with the option of the
// mount, and what a group may read is not the operator's mistake.
func TestMountedSecret(t *testing.T) {
	path, real := volume(t)
	link := filepath.Join(t.TempDir(), "link")
	plain := t.TempDir()
	private.SetSecretsFolder(t, plain)
	secret := filepath.Join(plain, "key")
	if err := errors.Join(os.Symlink(path, link), os.WriteFile(secret, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	option := "in the volume of the secret set defaultMode: 0400"
	if os.Geteuid() != 0 {
		option += fmt.Sprintf(", and in the securityContext of the pod fsGroup: %d", os.Getegid())
	}
	for _, of := range []struct{ path, real, hint string }{
		{path, real, option}, {link, real, option},
		{secret, secret, fmt.Sprintf(`for the secret set mode: 0400 and uid: "%[1]d" (podman: --secret NAME,uid=%[1]d,mode=0400); if it is a file of the host, there: chown %[1]d FILE && chmod 400 FILE`, os.Geteuid())},
	} {
		for mode, want := range map[fs.FileMode]private.Error{
			0o400: {}, 0o600: {},
			0o440: {Group: true, Given: true}, 0o640: {Group: true, Given: true},
			0o444: {Problem: "may be read or changed by other users of the machine"}, 0o644: {Problem: "may be read or changed by other users of the machine"},
			0o660: {Problem: "may be read or changed by other users of the machine"},
		} {
			if err := os.Chmod(of.real, mode); err != nil {
				t.Fatal(err)
			}
			err := private.Secret(of.path)
			if want == (private.Error{}) {
				if err != nil {
					t.Errorf("%s, mode %o: %v", of.path, mode, err)
				}
				continue
			}
			bad, ok := errors.AsType[*private.Error](err)
			if !ok || bad.Given != want.Given || bad.Group != want.Group || want.Problem != "" && bad.Problem != want.Problem || bad.Hint != of.hint {
				t.Errorf("%s, mode %o: %+v, want %+v and the hint %q", of.path, mode, err, want, of.hint)
			}
		}
	}
	if err := private.Unreadable(path, fs.ErrPermission); !errors.Is(err, fs.ErrPermission) || err.Error() != "permission denied\nhint: "+option {
		t.Errorf("a file that the process may not read: %v", err)
	}
	if err := private.Unreadable(path, fs.ErrNotExist); err != fs.ErrNotExist {
		t.Errorf("a file that is not there: %v", err)
	}
}

// The group of a file of root is what systemd and Kubernetes give it to a program by.
func TestSecretOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give files away
	}
	path, real := volume(t)
	if err := os.Chown(real, 12346, 12345); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o440: true, 0o640: true, 0o444: false, 0o660: false} {
		if err := os.Chmod(real, mode); err != nil {
			t.Fatal(err)
		}
		if err := private.Secret(path); (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(real, 0o440); err != nil {
		t.Fatal(err)
	}
	for owner, ok := range map[private.Owner]bool{12346: true, 65532: false} {
		if err := owner.Secret(path); (err == nil) != ok {
			t.Errorf("for user %d: %v", owner, err)
		}
	}
	if err := private.Owner(0).Secret(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
