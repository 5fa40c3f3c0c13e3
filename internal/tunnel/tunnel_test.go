package tunnel

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// frame is one of a server, or of a client with a mask of zeros.
func frame(first byte, masked bool, payload []byte) []byte {
	p, mask := []byte{first}, byte(0)
	if masked {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		p = append(p, mask|byte(n))
	case n < 1<<16:
		p = binary.BigEndian.AppendUint16(append(p, mask|126), uint16(n))
	default:
		p = binary.BigEndian.AppendUint64(append(p, mask|127), uint64(n))
	}
	if masked {
		p = append(p, 0, 0, 0, 0)
	}
	return append(p, payload...)
}

// RFC 6455 section 5.2: the end of a frame is found, however its bytes arrive.
func TestFramesEnd(t *testing.T) {
	for _, masked := range []bool{false, true} {
		var all []byte
		ends := map[int]bool{0: true}
		for _, size := range []int{0, 1, 125, 126, 127, 1<<16 - 1, 1 << 16} {
			all = append(all, frame(0x82, masked, make([]byte, size))...)
			ends[len(all)] = true
		}
		for _, step := range []int{1, 2, 3, 7, 512, len(all)} {
			var f frames
			for at := 0; at < len(all); {
				next := min(at+step, len(all))
				f.follow(all[at:next])
				if at = next; f.between() != ends[at] {
					t.Fatalf("masked %v, in steps of %d: after %d bytes between = %v", masked, step, at, f.between())
				}
			}
			if f.closing {
				t.Error("a frame of data closes")
			}
		}
		for cut := range all {
			var f frames
			f.follow(all[:cut])
			end := cut + len(f.rest(all[cut:]))
			if !ends[end] || !f.between() || ends[cut] && end != cut {
				t.Fatalf("masked %v: cut at %d, the frame ends at %d", masked, cut, end)
			}
		}
	}
	var f frames
	if f.follow(frame(0x88, false, []byte{3, 232})); !f.closing || !f.between() {
		t.Error("a close frame does not close")
	}
	f = frames{}
	if f.follow(append([]byte{0x82, 127}, bytes.Repeat([]byte{0xff}, 1<<12)...)); f.between() {
		t.Error("a frame of 2^64 bytes has ended")
	}
}

// ends are a tunnel that runs, and what is at its two ends.
type ends struct {
	tunnel           *Tunnel
	client, upstream conn
	by               chan string // what Run returns
}

// conn is one end of a connection that can be closed in one direction, as one of TCP can: two pipes.
type conn struct{ in, out net.Conn }

func connect() (a, b conn) {
	ab, ba := net.Pipe()
	cd, dc := net.Pipe()
	return conn{ab, cd}, conn{dc, ba}
}

func (c conn) Read(p []byte) (int, error)         { return c.in.Read(p) }
func (c conn) Write(p []byte) (int, error)        { return c.out.Write(p) }
func (c conn) CloseWrite() error                  { return c.out.Close() }
func (c conn) Close() error                       { _ = c.in.Close(); return c.out.Close() }
func (c conn) LocalAddr() net.Addr                { return c.in.LocalAddr() }
func (c conn) RemoteAddr() net.Addr               { return c.in.RemoteAddr() }
func (c conn) SetReadDeadline(at time.Time) error { return c.in.SetReadDeadline(at) }
func (c conn) SetWriteDeadline(at time.Time) error {
	return c.out.SetWriteDeadline(at)
}
func (c conn) SetDeadline(at time.Time) error {
	_ = c.in.SetReadDeadline(at)
	return c.out.SetWriteDeadline(at)
}

func open() *ends {
	client, front := connect()
	back, upstream := connect()
	e := &ends{New(front, back, back), client, upstream, make(chan string)}
	go func() { e.by <- e.tunnel.Run() }()
	return e
}

func (e *ends) send(t *testing.T, to net.Conn, p []byte) {
	t.Helper()
	if _, err := to.Write(p); err != nil {
		t.Error(err)
	}
}

func (e *ends) want(t *testing.T, from net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read % x, %v; want % x", got, err, want)
	}
}

func (e *ends) wantEnd(t *testing.T, from net.Conn) {
	t.Helper()
	if rest, err := io.ReadAll(from); len(rest) > 0 || err != nil {
		t.Errorf("read % x, %v; want the end", rest, err)
	}
}

var bye = frame(0x88, false, append([]byte{0x03, 0xf0}, "revoked"...))

// GW-13: the client gets a close frame between two frames, and nothing after it.
func TestEnd(t *testing.T) {
	long := frame(0x02, false, bytes.Repeat([]byte("x"), 1<<17)) // the first fragment of a message
	for _, c := range []struct {
		name   string
		before []byte // End is called when the client has read it
		after  []byte // what the upstream sends then
		want   []byte // what the client reads of that
		closed bool   // with the close frame
		within time.Duration
		by     string // empty: revoked
	}{
		{"idle", nil, nil, nil, true, 0, ""},
		{"between two frames", frame(0x81, false, []byte("hello")), nil, nil, true, 0, ""},
		{"between two fragments", frame(0x01, false, []byte("hel")), frame(0x80, false, []byte("lo")), nil, true, 0, ""},
		{"in a head", long[:5], long[5:], long[5:], true, 0, ""},
		{"in a payload", long[:1<<16], append(long[1<<16:], 0x80, 0), long[1<<16:], true, 0, ""},
		{"in a payload that does not go on", long[:1<<16], nil, nil, false, finish, ""},
		{"after a close frame of the upstream", frame(0x88, false, []byte{3, 232}), nil, nil, false, 0, ByUpstream},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := open()
				go e.send(t, e.upstream, c.before)
				e.want(t, e.client, c.before)
				synctest.Wait()
				begun := time.Now()
				e.tunnel.End(1008, "revoked", "revoked")
				go func() { _, _ = e.upstream.Write(c.after) }()
				e.want(t, e.client, c.want)
				if c.closed {
					e.want(t, e.client, bye)
				}
				e.wantEnd(t, e.client)
				if took := time.Since(begun); took > c.within {
					t.Errorf("it took %v", took)
				}
				_ = e.client.Close()
				if by := <-e.by; by != cmp.Or(c.by, "revoked") {
					t.Errorf("ended by %q", by)
				}
			})
		})
	}
}

// Nothing that the client sends after the end reaches the upstream.
func TestEndStopsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open()
		hello := frame(0x81, true, []byte("hello"))
		go e.send(t, e.client, hello)
		e.want(t, e.upstream, hello)
		synctest.Wait()
		e.tunnel.End(1008, "revoked", "revoked")
		go e.send(t, e.client, bytes.Repeat(hello, 1000))
		e.want(t, e.client, bye)
		synctest.Wait() // the client has sent all of it, although nobody wants it
		go e.wantEnd(t, e.upstream)
		_ = e.client.Close()
		<-e.by
	})
}

// A client that does not read, and one that does not close, hold their connection for a short time only.
func TestEndOfAClientThatDoesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		act    func(*ends)
		within time.Duration
	}{
		"does not read":  {func(e *ends) { _, _ = e.upstream.Write(frame(0x81, false, []byte("hello"))) }, finish},
		"does not close": {func(e *ends) { _, _ = io.Copy(io.Discard, e.client) }, finish + linger},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := open()
			go c.act(e)
			synctest.Wait()
			begun := time.Now()
			e.tunnel.End(1008, "revoked", "revoked")
			e.tunnel.End(1001, "again", "again")
			by := <-e.by
			if took := time.Since(begun); took > c.within {
				t.Errorf("%s: open for %v, want %v at most", name, took, c.within)
			}
			if by != "revoked" {
				t.Errorf("%s: ended by %q", name, by)
			}
		})
	}
}

// late is a connection whose Read returns late, as when other programs want the processor.
type late struct{ conn }

func (c late) Read(p []byte) (int, error) {
	n, err := c.conn.Read(p)
	time.Sleep(3 * finish)
	return n, err
}

// GW-13: a machine that is busy delays the close frame, and does not cost it.
func TestEndOnABusyMachine(t *testing.T) {
	hello := frame(0x81, false, []byte("hello"))
	for _, before := range [][]byte{nil, hello[:3]} {
		synctest.Test(t, func(t *testing.T) {
			client, front := connect()
			back, upstream := connect()
			e := &ends{New(front, late{back}, back), client, upstream, make(chan string)}
			go func() { e.by <- e.tunnel.Run() }()
			go e.send(t, e.upstream, before)
			e.want(t, e.client, before)
			synctest.Wait()
			e.tunnel.End(1008, "revoked", "revoked")
			if before != nil {
				go e.send(t, e.upstream, hello[3:])
				e.want(t, e.client, hello[3:])
			}
			e.want(t, e.client, bye)
			e.wantEnd(t, e.client)
			_ = e.client.Close()
			<-e.by
		})
	}
}

// A tunnel may be ended before it runs.
func TestEndBeforeTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, front := connect()
		back, _ := connect()
		tunnel := New(front, back, back)
		tunnel.End(1008, "revoked", "revoked")
		go tunnel.Run()
		e := &ends{}
		e.want(t, client, bye)
		e.wantEnd(t, client)
		_ = client.Close()
	})
}

// The side that closes first has ended the tunnel. The other one gets what was sent before, then the end, and has
// some time to close.
func TestClosedByOneSide(t *testing.T) {
	hello := frame(0x81, false, bytes.Repeat([]byte("x"), 1<<16))
	closing, masked := frame(0x88, false, []byte{3, 232}), frame(0x88, true, []byte{3, 232})
	for name, c := range map[string]struct {
		act func(t *testing.T, e *ends)
		by  string
	}{
		"upstream": {func(t *testing.T, e *ends) {
			go func() { e.send(t, e.upstream, hello); _ = e.upstream.Close() }()
			e.want(t, e.client, hello)
			e.wantEnd(t, e.client)
		}, ByUpstream},
		"client": {func(t *testing.T, e *ends) {
			go func() { e.send(t, e.client, hello); _ = e.client.Close() }()
			e.want(t, e.upstream, hello)
			e.wantEnd(t, e.upstream)
		}, ByClient},
		"upstream, in good order": {func(t *testing.T, e *ends) {
			go e.send(t, e.upstream, closing)
			e.want(t, e.client, closing)
			go e.send(t, e.client, masked)
			e.want(t, e.upstream, masked)
			_ = e.client.Close()
		}, ByUpstream},
		"client, in good order": {func(t *testing.T, e *ends) {
			go e.send(t, e.client, masked)
			e.want(t, e.upstream, masked)
			go func() { e.send(t, e.upstream, closing); _ = e.upstream.Close() }()
			e.want(t, e.client, closing)
			e.wantEnd(t, e.client)
		}, ByClient},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := open()
			c.act(t, e)
			begun := time.Now()
			by := <-e.by
			if took := time.Since(begun); took > linger {
				t.Errorf("%s: open for %v after that", name, took)
			}
			if by != c.by {
				t.Errorf("%s: ended by %q, want %q", name, by, c.by)
			}
		})
	}
}

// A connection to the upstream may have a time in which something must be sent. The client is told.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open()
		_ = e.tunnel.beneath.SetDeadline(time.Now().Add(time.Minute))
		e.want(t, e.client, frame(0x88, false, append([]byte{0x03, 0xe9}, "idle"...)))
		e.wantEnd(t, e.client)
		_ = e.client.Close()
		if by := <-e.by; by != ByIdle {
			t.Errorf("ended by %q", by)
		}
	})
}

// A tunnel that waits holds its small buffers, also after much was carried.
func TestBuffers(t *testing.T) {
	var b buffer
	for _, c := range []struct{ read, want int }{{512, 4 << 10}, {4 << 10, 32 << 10}, {32 << 10, 32 << 10}, {7, 512}, {7, 512}} {
		if b.fit(c.read); len(b.bytes()) != c.want {
			t.Errorf("after a read of %d bytes: %d, want %d", c.read, len(b.bytes()), c.want)
		}
	}
}
