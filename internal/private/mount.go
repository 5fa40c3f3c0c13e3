package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mounter is who has put a file into this container, or empty. Its modes come from settings of
// the mount, and no command inside of the container can change them.
type mounter string

const (
	kubernetes mounter = "kubernetes"
	engine     mounter = "engine" // compose, swarm, podman
	somebody   mounter = "somebody"
)

// mountedBy looks at where path leads to. Kubernetes writes the files of a volume into a folder
// such as ..2026_11_30_08_00_00.123, to which the symbolic link ..data points.
func mountedBy(path string) mounter {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	if real, err = filepath.Abs(real); err != nil {
		return ""
	}
	dated := func(part string) bool { return strings.HasPrefix(part, "..") }
	switch {
	case slices.ContainsFunc(strings.Split(real, string(filepath.Separator)), dated):
		return kubernetes
	case strings.HasPrefix(real, secretsFolder):
		return engine
	case readOnly(real):
		return somebody
	}
	return ""
}

// secretsFolder is where engines of containers mount secrets. Only a test changes it.
var secretsFolder = "/run/secrets/"

// mend is what makes the file at path readable for this process and for nobody else: an option of
// the mount, or a command.
func mend(path string, own bool) string {
	uid, gid := os.Geteuid(), os.Getegid()
	const volume = "in the volume of the secret set defaultMode: 0400"
	switch mountedBy(path) {
	case kubernetes:
		if uid == 0 {
			return volume
		}
		return fmt.Sprintf("%s, and in the securityContext of the pod fsGroup: %d", volume, gid)
	case engine:
		return fmt.Sprintf(`for the secret set mode: 0400 and uid: "%d" (podman: --secret NAME,uid=%d,mode=0400); if it is a file of the host, there: chown %d FILE && chmod 400 FILE`, uid, uid, uid)
	case somebody:
		return fmt.Sprintf("it is mounted read-only: where it comes from, chown %d FILE && chmod 400 FILE (Kubernetes: defaultMode: 0400 and fsGroup: %d)", uid, gid)
	}
	if own {
		return "chmod 600 " + path
	}
	return fmt.Sprintf("chown %d %s && chmod 400 %s", uid, path, path)
}

// Unreadable adds to an error of reading the secret in path what to do, if the process may not
// read it.
func Unreadable(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w\nhint: %s", err, mend(path, false))
}
