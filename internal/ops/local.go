package ops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/counterfoil/counterfoil/internal/private"
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

// localListener takes connections of its owner and of root only. The mode of the socket says
// the same; this also holds where a mode was changed.
type localListener struct {
	net.Listener
	owner private.Owner
	log   *slog.Logger
}

// Accept implements net.Listener.
func (l *localListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, ok := peer(c)
		if !ok || l.owner.Trusts(uid) {
			return c, nil
		}
		l.log.Warn("refused a connection to the local socket", "uid", uid)
		_ = c.Close()
	}
}

func peer(c net.Conn) (uid uint32, ok bool) {
	if u, is := c.(*net.UnixConn); is {
		return private.Peer(u)
	}
	return 0, false
}

type peerKey struct{}

// withPeer adds the user at the other end of c to the context of its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if uid, ok := peer(c); ok {
		return context.WithValue(ctx, peerKey{}, uid)
	}
	return ctx
}

// LocalPeer returns the id of the user who sent a request through the socket of
// [Server.HandleLocal]. ok is false if the system does not tell.
func LocalPeer(ctx context.Context) (uid uint32, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(uint32)
	return uid, ok
}
