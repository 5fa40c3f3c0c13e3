package main

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientAddress(t *testing.T) { // LOGIN-10
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                          {"198.51.100.1:1", nil, "198.51.100.1"},
		"a client that lies":                {"198.51.100.1:1", []string{"203.0.113.9"}, "198.51.100.1"},
		"one proxy":                         {"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		"the client lied to the proxy":      {"10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                       {"10.0.0.1:1", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"two header lines are one list":     {"10.0.0.1:1", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		"a stranger between proxies":        {"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"nothing but proxies":               {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"the proxy says nothing":            {"10.0.0.1:1", nil, "10.0.0.1"},
		"junk ends the walk":                {"10.0.0.1:1", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
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
		if got := clientAddress(r, trusted); got != want {
			t.Errorf("%s: clientAddress = %v, want %v", name, got, want)
		}
	}
	r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
	if got := clientAddress(r, nil); got.String() != "127.0.0.1" {
		t.Errorf("clientAddress without trusted proxies = %v, want the peer", got)
	}
}
