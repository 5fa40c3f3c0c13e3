package faultnet_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/faultnet"
)

// sent sends text from one end and returns the time at which each byte arrived at the other.
// In the bubble only the faults take time.
func sent(t *testing.T, from, to net.Conn, text string, then func()) (at []time.Duration) {
	t.Helper()
	begun := time.Now()
	arrived := make(chan []time.Duration)
	go func() {
		var at []time.Duration
		b := make([]byte, 1)
		for range len(text) {
			if _, err := io.ReadFull(to, b); err != nil {
				break
			}
			at = append(at, time.Since(begun))
		}
		arrived <- at
	}()
	go func() { _, _ = io.WriteString(from, text) }()
	then()
	return <-arrived
}

func TestFaults(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		name string
		do   func(p *faultnet.Proxy)
		then func(p *faultnet.Proxy)
		want []time.Duration
	}{
		{"pass", nil, nil, []time.Duration{0, 0, 0}},
		{"delay", func(p *faultnet.Proxy) { p.Set(faultnet.Fault{Delay: 3 * second}, faultnet.Fault{}) }, nil,
			[]time.Duration{3 * second, 3 * second, 3 * second}},
		{"hold, then release", func(p *faultnet.Proxy) { p.Set(faultnet.Fault{Mode: faultnet.Hold}, faultnet.Fault{}) },
			func(p *faultnet.Proxy) { time.Sleep(30 * second); p.Heal() },
			[]time.Duration{30 * second, 30 * second, 30 * second}},
		{"trickle", func(p *faultnet.Proxy) { p.Set(faultnet.Fault{Mode: faultnet.Trickle}, faultnet.Fault{}) }, nil,
			[]time.Duration{second, 2 * second, 3 * second}},
		{"the other direction", func(p *faultnet.Proxy) { p.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Hold}) }, nil,
			[]time.Duration{0, 0, 0}},
		{"lost for ever", func(p *faultnet.Proxy) { p.Set(faultnet.Fault{Mode: faultnet.Lose}, faultnet.Fault{}) },
			func(p *faultnet.Proxy) { time.Sleep(second); p.Heal(); time.Sleep(second); p.Cut() }, nil},
		{"cut", func(p *faultnet.Proxy) { p.Set(faultnet.Fault{Mode: faultnet.Hold}, faultnet.Fault{}) },
			func(p *faultnet.Proxy) { time.Sleep(second); p.Cut() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, client, server := faultnet.NewLink(1)
				if c.do != nil {
					c.do(p)
				}
				got := sent(t, client, server, "abc", func() {
					if c.then != nil {
						c.then(p)
					}
				})
				if !slices.Equal(got, c.want) {
					t.Errorf("bytes arrived after %v, want %v", got, c.want)
				}
				p.Cut()
			})
		})
	}
}

// The same seed gives the same delays.
func TestSeed(t *testing.T) {
	run := func(seed uint64) (at []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			p, client, server := faultnet.NewLink(seed)
			p.Set(faultnet.Fault{Jitter: time.Minute}, faultnet.Fault{})
			for range 3 {
				at = append(at, sent(t, client, server, "a", func() {})...)
			}
			p.Cut()
		})
		return at
	}
	if a, b := run(7), run(7); !slices.Equal(a, b) {
		t.Errorf("seed 7 gave %v, then %v", a, b)
	}
	if a, b := run(7), run(8); slices.Equal(a, b) {
		t.Errorf("seeds 7 and 8 both gave %v", a)
	}
}

// Over real sockets: an answer passes, a reset, a refusal, and a target that is down.
func TestProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // an echo server
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	p, err := faultnet.Listen(listener.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (*bufio.Reader, error) {
		c, err := p.Dial(context.Background(), "tcp", "elsewhere.test:443")
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			return nil, err
		}
		r := bufio.NewReader(c)
		got, err := r.ReadString('\n')
		if err == nil && got != "hello\n" {
			t.Errorf("answer through the proxy = %q", got)
		}
		return r, err
	}
	open, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	p.Reset()
	if _, err := open.ReadString('\n'); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Reset: %v, want ECONNRESET", err)
	}
	p.Refuse(true)
	if _, err := ask(); err == nil {
		t.Error("a refused connection answers")
	}
	p.Heal()
	if _, err := ask(); err != nil {
		t.Errorf("after Heal: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); err == nil {
		t.Error("a connection without a target answers")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
