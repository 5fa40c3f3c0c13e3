package ops

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// listenLocal opens the Unix socket at path for its owner only. The caller holds a lock on
// the folder, so a socket that is left there belongs to a server that crashed.
func listenLocal(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// The umask, and not chmod: between making the socket and chmod, any user could connect.
	defer syscall.Umask(syscall.Umask(0o177))
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EINVAL) {
		err = fmt.Errorf("%w\nhint: the path of a Unix socket has at most about 100 bytes: choose a shorter --data", err)
	}
	return l, err
}
