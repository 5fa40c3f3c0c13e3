package dial_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/dial"
)

// One that refuses costs nothing, one that is silent a quarter of a second; what was begun
// and comes too late is closed.
func TestFirstAddress(t *testing.T) {
	refused, silent, slow, good := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.4")
	for name, test := range map[string]struct {
		all   []netip.Addr
		after time.Duration
		fails string
	}{
		"one":                   {[]netip.Addr{good}, 0, ""},
		"refused":               {[]netip.Addr{refused, good}, 0, ""},
		"silent":                {[]netip.Addr{silent, good}, 250 * time.Millisecond, ""},
		"silent, refused":       {[]netip.Addr{silent, refused, good}, 250 * time.Millisecond, ""},
		"silent, slow":          {[]netip.Addr{silent, slow, good}, 500 * time.Millisecond, ""},
		"the slow one is first": {[]netip.Addr{slow, silent}, 400 * time.Millisecond, ""},
		"none":                  {[]netip.Addr{refused, silent}, 3 * time.Second, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				slowly := make(chan net.Conn, 1)
				connect := func(ctx context.Context, ip netip.Addr) (net.Conn, error) {
					switch ip {
					case refused:
						return nil, errors.New("refused")
					case silent:
						<-ctx.Done()
						return nil, ctx.Err()
					case slow:
						time.Sleep(400 * time.Millisecond) // deaf to its context
					}
					ours, theirs := net.Pipe()
					if ip == slow {
						slowly <- theirs
					}
					return ours, nil
				}
				begun := time.Now()
				conn, err := dial.First(ctx, test.all, connect)
				if took := time.Since(begun); took != test.after {
					t.Errorf("took %v, want %v", took, test.after)
				}
				if test.fails != "" {
					if err == nil || !strings.Contains(err.Error(), test.fails) {
						t.Errorf("First = %v, want an error with %q", err, test.fails)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // of the bubble: whatever was begun has ended
				_ = conn.Close()
				select {
				case late := <-slowly:
					if _, err := late.Read(make([]byte, 1)); err == nil {
						t.Error("the connection that came too late is open")
					}
				default:
				}
			})
		})
	}
}
