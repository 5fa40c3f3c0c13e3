package forwarded_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/counterfoil/counterfoil/internal/forwarded"
)

var proxies = forwarded.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}

func TestClient(t *testing.T) { // LOGIN-10
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                          {"198.51.100.1:1", nil, "198.51.100.1"},
		"a client forges the header":        {"198.51.100.1:1", []string{"203.0.113.9"}, "198.51.100.1"},
		"one proxy":                         {"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		"a client forges it for a proxy":    {"10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                       {"10.0.0.1:1", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"two header lines are one list":     {"10.0.0.1:1", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		"a stranger between proxies":        {"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"nothing but proxies":               {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"the proxy adds no header":          {"10.0.0.1:1", nil, "10.0.0.1"},
		"junk ends the search":              {"10.0.0.1:1", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		"empty entries are junk":            {"10.0.0.1:1", []string{"203.0.113.9,,"}, "10.0.0.1"},
		"with ports":                        {"10.0.0.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6":                              {"[fd00::1]:1", []string{"2001:db8::5"}, "2001:db8::5"},
		"IPv6 in brackets with a port":      {"[fd00::1]:1", []string{"[2001:db8::5]:4711"}, "2001:db8::5"},
		"IPv4 in IPv6 is IPv4":              {"[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"a zone does not make an address":   {"[fe80::1%eth0]:1", []string{"203.0.113.9"}, "fe80::1"},
		"a zone does not make many clients": {"10.0.0.1:1", []string{"fe80::1%a1"}, "fe80::1"},
		"a socket has no address":           {"@", []string{"203.0.113.9"}, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		want, _ := netip.ParseAddr(c.want)
		if got := proxies.Client(r); got != want {
			t.Errorf("%s: Client = %v, want %v", name, got, want)
		}
	}
	r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
	if got := forwarded.Proxies(nil).Client(r); got.String() != "127.0.0.1" {
		t.Errorf("Client without proxies = %v, want the peer", got)
	}
}

// LOGIN-10: whatever header a client writes, Client returns the address from which the
// outermost proxy got the request. The proxy may add to the client's header line, or write a
// line of its own.
func FuzzClient(f *testing.F) {
	for _, header := range []string{"", "203.0.113.9", "10.0.0.2", "203.0.113.9, 10.0.0.2", "unknown,,", "[fd00::1]:80, fe80::1%eth0", "\"10.0.0.2\"", "::ffff:10.0.0.1", "10.0.0.2,"} {
		f.Add(header, "10.0.0.1:80")
		f.Add(header, "203.0.113.80:4711")
	}
	stranger := netip.MustParseAddr("198.51.100.7")
	f.Fuzz(func(t *testing.T, written, peer string) {
		client := func(peer string, fields ...string) netip.Addr {
			return proxies.Client(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": fields}})
		}
		for _, passed := range [][]string{
			{written + "," + stranger.String()}, {written + ", " + stranger.String() + ":99 "}, {written, stranger.String()},
			{written + ", " + stranger.String(), "10.0.0.2"}, {written, "::ffff:198.51.100.7, [fd00::2]:443, 10.0.0.2"},
		} {
			if got := client("10.0.0.1:80", passed...); got != stranger {
				t.Errorf("Client through proxies that pass on %q = %v, want %v", passed, got, stranger)
			}
		}
		got := client(peer, written)
		if got.Is4In6() || got.Zone() != "" {
			t.Errorf("Client = %v: one host has more than one address", got)
		}
		at, err := netip.ParseAddrPort(peer)
		direct := at.Addr().Unmap().WithZone("")
		if err != nil && got.IsValid() || !proxies.Contain(direct) && got != direct {
			t.Errorf("Client of peer %q that wrote %q = %v", peer, written, got)
		}
	})
}
