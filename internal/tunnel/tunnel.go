// Package tunnel carries a WebSocket through a proxy, and can end it in good order: the client gets a
// close frame with a code and a reason, which RFC 6455 allows between two frames only.
//
// Make a [Tunnel] when the handshake is over, with [New], and call [Tunnel.Run]. A tunnel that waits
// has two goroutines and 1 KiB of buffers.
package tunnel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// finish is how long an end waits for the frame that is under way, and for a client that does
	// not read. Then the connection is cut without a close frame.
	finish = 100 * time.Millisecond

	// linger is how long one side has to close its connection after the other has. A connection that
	// is closed while bytes of the client wait to be read is reset, and a reset may overtake the close
	// frame (RFC 6455 section 7.1.1).
	linger = 2 * time.Second
)

// Who ended a tunnel, if [Tunnel.End] did not.
const (
	ByClient   = "client"
	ByUpstream = "upstream"
	ByIdle     = "idle" // the connection to the upstream has a time in which something must be sent
)

// Codes of a close frame (RFC 6455 section 7.4.1).
const (
	GoingAway       = 1001 // the end is nobody's fault
	PolicyViolation = 1008 // the client may not go on
)

// Tunnel is a WebSocket between a client and an upstream.
type Tunnel struct {
	client   net.Conn
	upstream io.ReadWriteCloser
	beneath  net.Conn // of upstream

	down frames // to the client
	up   frames // to the upstream

	mu  sync.Mutex // guards the fields below
	by  string     // who ended it; empty: nobody has yet
	bye []byte     // the close frame of End; nil: it was not called
}

// New returns a tunnel. The upstream is its connection as it was after the handshake, of which
// more may have been read already; beneath it is the connection that has deadlines.
func New(client net.Conn, upstream io.ReadWriteCloser, beneath net.Conn) *Tunnel {
	return &Tunnel{client: client, upstream: upstream, beneath: beneath}
}

// Run carries bytes both ways until the tunnel has ended, and closes both connections. It
// returns who ended the tunnel.
func (t *Tunnel) Run() (by string) {
	var up sync.WaitGroup
	up.Go(t.copyUp)
	t.copyDown()
	up.Wait()
	_, _ = t.client.Close(), t.upstream.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.by
}

// End has Run return. The client gets a close frame, if one may stand where the tunnel is. Run
// returns by, unless somebody had closed before. Only the first call does anything.
func (t *Tunnel) End(code uint16, reason, by string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bye != nil {
		return
	}
	if t.by == "" {
		t.by = by
	}
	now := time.Now()
	t.bye = closeFrame(code, reason)
	_ = t.beneath.SetDeadline(now) // wakes both directions
	_ = t.client.SetWriteDeadline(now.Add(finish))
	_ = t.client.SetReadDeadline(now.Add(finish + linger))
}

// ending reports whether End was called.
func (t *Tunnel) ending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bye != nil
}

// closed notes who has closed, unless the tunnel was ended before.
func (t *Tunnel) closed(by string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == "" {
		t.by = by
	}
}

// done is for a direction that is copied no more. Its other end is told, and has some time to
// close too.
func (t *Tunnel) done(to io.Writer, conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if t.bye == nil { // else End has set a deadline
		_ = conn.SetReadDeadline(time.Now().Add(linger))
	}
}

// copyDown copies from the upstream to the client.
func (t *Tunnel) copyDown() {
	defer t.done(t.client, t.client)
	var b buffer
	defer b.free()
	for {
		n, err := t.upstream.Read(b.bytes())
		p := b.bytes()[:n]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.End(GoingAway, ByIdle, ByIdle) // or End has woken this, or the client has closed
		}
		if t.ending() {
			if !t.farewell(&b, p) {
				_ = t.client.Close()
			}
			return
		}
		t.down.follow(p)
		if err != nil || t.down.closing {
			t.closed(ByUpstream)
		}
		if failed := write(t.client, p); failed != nil {
			if t.ending() {
				_ = t.client.Close() // it is in the middle of a frame, so it can be told nothing
			}
			t.closed(ByClient)
			return
		}
		if err != nil {
			return
		}
		b.fit(n)
	}
}

// farewell completes the frame under way, of which p are the next bytes, and sends the close frame. It
// reports whether it could. Its time begins here and not with End: on a busy machine that was long ago.
func (t *Tunnel) farewell(b *buffer, p []byte) bool {
	if t.beneath.SetReadDeadline(time.Now().Add(finish)) != nil {
		return false
	}
	for {
		if t.last(t.down.rest(p)) != nil {
			return false
		}
		if t.down.between() {
			break
		}
		n, err := t.upstream.Read(b.bytes())
		if p = b.bytes()[:n]; err != nil && n == 0 {
			return false
		}
	}
	return t.down.closing || t.last(t.bye) == nil // the upstream may have sent one
}

// last writes to the client for farewell.
func (t *Tunnel) last(p []byte) error {
	_ = t.client.SetWriteDeadline(time.Now().Add(finish))
	return write(t.client, p)
}

// copyUp copies from the client to the upstream. When the tunnel is ended, it reads on until the
// client has closed, and the upstream gets nothing of that.
func (t *Tunnel) copyUp() {
	defer t.done(t.upstream, t.beneath)
	var b buffer
	defer b.free()
	for {
		n, err := t.client.Read(b.bytes())
		p := b.bytes()[:n]
		t.up.follow(p)
		if err != nil || t.up.closing {
			t.closed(ByClient)
		}
		if !t.ending() {
			if failed := write(t.upstream, p); failed != nil && !t.ending() {
				t.closed(ByUpstream)
				return
			}
		}
		if err != nil {
			return
		}
		b.fit(n)
	}
}

func write(to io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := to.Write(p)
	return err
}
