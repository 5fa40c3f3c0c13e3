package dial_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/internal/dial"
)

// KEY-10: the address is looked at at each connection.
func TestReach(t *testing.T) {
	for name, test := range map[string]struct {
		first, then string
		ok          bool
	}{
		"public stays public":       {"93.184.216.34:443", "[2606:2800:220:1::]:443", true},
		"private stays private":     {"10.1.2.3:443", "192.168.7.8:443", true},
		"private becomes public":    {"10.1.2.3:443", "93.184.216.34:443", true},
		"public becomes private":    {"93.184.216.34:443", "10.1.2.3:443", false},
		"public becomes mapped":     {"93.184.216.34:443", "[::ffff:10.1.2.3]:443", false},
		"public becomes loopback":   {"93.184.216.34:443", "127.0.0.1:443", false},
		"public becomes shared":     {"93.184.216.34:443", "100.64.0.1:443", false},
		"public becomes unique":     {"93.184.216.34:443", "[fd00::1]:443", false},
		"public becomes link-local": {"93.184.216.34:443", "169.254.169.254:80", false},
		"private to link-local":     {"10.1.2.3:443", "169.254.169.254:80", false},
		"to link-local, mapped":     {"10.1.2.3:443", "[::ffff:169.254.169.254]:80", false},
		"to link-local of IPv6":     {"10.1.2.3:443", "[fe80::1%eth0]:443", false},
		"to nowhere":                {"10.1.2.3:443", "0.0.0.0:443", false},
		"to many":                   {"10.1.2.3:443", "224.0.0.1:443", false},
	} {
		allow := dial.NewReach()
		if err := allow(test.first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := allow(test.then); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err := allow(test.first); err != nil {
			t.Errorf("%s, and back: %v", name, err)
		}
	}
	for _, address := range []string{"169.254.169.254:80", "169.254.1.2:443", "[fe80::1%eth0]:443"} {
		if err := dial.NewReach()(address); err == nil {
			t.Errorf("%s is allowed at first sight", address)
		}
	}
}

// KEY-10: an address that a network of containers gives the host is the issuer's if it is allowed
// by name. Addresses of metadata never are.
func TestReachAllowed(t *testing.T) {
	all := func(texts ...string) (prefixes []netip.Prefix) {
		for _, text := range texts {
			prefixes = append(prefixes, netip.MustParsePrefix(text))
		}
		return prefixes
	}
	for _, test := range []struct {
		allowed []netip.Prefix
		then    string
		ok      bool
	}{
		{all("169.254.1.2/32"), "169.254.1.2:443", true}, // podman: host.containers.internal
		{all("169.254.1.2/32"), "[::ffff:169.254.1.2]:443", true},
		{all("169.254.1.2/32"), "169.254.1.3:443", false},
		{all("fe80::/64"), "[fe80::1%eth0]:443", true},
		{all("10.0.2.0/24"), "10.0.2.2:443", true}, // slirp4netns
		{all("10.0.2.0/24"), "10.0.3.2:443", false},
		{all("192.168.65.0/24"), "192.168.65.254:443", true}, // Docker Desktop
		{all("127.0.0.0/8", "::1/128"), "[::1]:443", true},
		{all("fd00::/8"), "[fd00::1]:443", true},
	} {
		allow := dial.NewReach(test.allowed...)
		if err := allow("93.184.216.34:443"); err != nil { // the name was public before
			t.Error(err)
		}
		if err := allow(test.then); (err == nil) != test.ok {
			t.Errorf("%v allowed, %s: %v", test.allowed, test.then, err)
		} else if err != nil && !strings.Contains(err.Error(), "RemoteOptions.AllowAddresses") {
			t.Errorf("%s: %v does not name the option", test.then, err)
		}
	}
	everywhere := dial.NewReach(all("0.0.0.0/0", "::/0")...)
	for _, address := range []string{
		"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80", "169.254.170.2:80", "169.254.170.23:80",
		"100.100.100.200:80", "192.0.0.192:80", "168.63.129.16:80", "[fd00:ec2::254]:80", "[fd00:ec2::23]:80", "[fd20:ce::254]:80", "[fe80::a9fe:a9fe%eth0]:80",
		"0.0.0.0:443", "[::]:443", "224.0.0.1:443", "[ff02::1]:443", "255.255.255.255:443",
	} {
		if err := everywhere(address); err == nil || !strings.Contains(err.Error(), "which no issuer has") {
			t.Errorf("%s: %v", address, err)
		}
		if err := dial.NewReach()(address); err == nil {
			t.Errorf("%s is allowed at first sight", address)
		}
	}
	for _, address := range []string{"[64:ff9b::5db8:d822]:443", "93.184.216.34:443", "10.1.2.3:443", "127.0.0.1:443"} {
		if err := dial.NewReach()(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// KEY-10: a name server that changes its mind does not get a verifier to connect.
func TestNameIsRebound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var answer atomic.Pointer[[]netip.Addr]
	say := func(s string) { answer.Store(&[]netip.Addr{netip.MustParseAddr(s)}) }
	transport := dial.New("issuer.example", nameServer(t, &answer), nil)
	connect := func() error {
		c, err := transport.DialContext(t.Context(), "tcp", "issuer.example:"+port)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	say("127.0.0.1")
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	say("169.254.169.254")
	if err := connect(); err == nil || !strings.Contains(err.Error(), "which no issuer has") {
		t.Errorf("connect = %v, want a refusal that says why", err)
	}
	say("127.0.0.1")
	if err := connect(); err != nil {
		t.Error(err)
	}
}

// nameServer resolves every name to the same addresses, of IPv4.
func nameServer(t *testing.T, answer *atomic.Pointer[[]netip.Addr]) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12 // of the question: labels, their end, type and class (RFC 1035 section 4.1)
			for end < n && buf[end] != 0 {
				end += 1 + int(buf[end])
			}
			end += 5
			if end > n {
				continue
			}
			isA := buf[end-4] == 0 && buf[end-3] == 1
			reply := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, buf[12:end]...)
			if isA {
				for _, address := range *answer.Load() {
					reply[7]++
					reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
					reply = append(reply, address.AsSlice()...)
				}
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}
