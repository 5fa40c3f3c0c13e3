package outward_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/counterfoil/counterfoil/internal/outward"
)

func open(t *testing.T, o outward.Options) *outward.Client {
	t.Helper()
	c, err := outward.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refused(err error) bool {
	_, is := errors.AsType[outward.Refused](err)
	return is
}

func post(t *testing.T, c *outward.Client, url string) (outward.Answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Send(r)
}

// target counts requests.
func target(t *testing.T, answer http.HandlerFunc) (url, port string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(web.Close)
	_, port, _ = net.SplitHostPort(web.Listener.Addr().String())
	return web.URL, port, asked
}

// OPS-08: each form of an address inside is refused before a packet is sent.
func TestInsideIsRefused(t *testing.T) {
	_, port, asked := target(t, nil)
	c := open(t, outward.Options{})
	for _, host := range []string{
		"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "0.0.0.0", "[::]",
		"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00::1]", "[fd00:ec2::254]", "[fe80::1]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1",
		"[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::1]", "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::1]",
		"localhost",
	} {
		if _, err := post(t, c, "http://"+host+":"+port+"/"); !refused(err) {
			t.Errorf("%s: %v, want Refused", host, err)
		}
	}
	for _, host := range []string{"0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "a..b", "ex ample.com", "1.2.3.4.5"} {
		if _, err := c.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port)); err == nil || refused(err) {
			t.Errorf("%s: %v, want an error that it is no host", host, err)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// OPS-08: what the operator allows by name is reached, and no setting opens metadata.
func TestAllowed(t *testing.T) {
	_, port, asked := target(t, nil)
	resolver, say := nameServer(t)
	say("127.0.0.1")
	for _, test := range []struct {
		allow, host string
		ok          bool
	}{
		{"127.0.0.0/8", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "[::ffff:127.0.0.1]", true},
		{"::ffff:127.0.0.1", "127.0.0.1", true},
		{"127.0.0.2", "127.0.0.1", false},
		{"10.0.0.0/8", "127.0.0.1", false},
		{"grafana.internal", "grafana.internal", true},
		{"Grafana.Internal.", "grafana.internal", true},
		{"grafana.internal", "GRAFANA.internal.", true},
		{"grafana.internal", "other.internal", false},
		{"grafana.internal", "127.0.0.1", false},
		{"127.0.0.1", "any.example", true},
	} {
		before := asked.Load()
		a, err := post(t, open(t, outward.Options{Allow: []string{test.allow}, Resolver: resolver}), "http://"+test.host+":"+port+"/")
		if (err == nil) != test.ok || a.OK() != test.ok || asked.Load() > before != test.ok {
			t.Errorf("%s allowed, %s: %v, %v", test.allow, test.host, a, err)
		}
		if !test.ok && !refused(err) {
			t.Errorf("%s allowed, %s: %v, want Refused", test.allow, test.host, err)
		}
	}
	everything := open(t, outward.Options{Allow: []string{"0.0.0.0/0", "::/0", "metadata.internal"}, Resolver: resolver})
	say("169.254.169.254")
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "100.100.100.200", "0.0.0.0", "[::]", "metadata.internal"} {
		if _, err := post(t, everything, "http://"+host+"/"); !refused(err) {
			t.Errorf("%s: %v, want Refused", host, err)
		}
	}
	for _, text := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "a b", "2130706433", "*.internal", "http://x.example"} {
		if _, err := outward.New(outward.Options{Allow: []string{text}}); err == nil || outward.CheckAllowed(text) == nil {
			t.Errorf("Allow has %q: no error", text)
		}
	}
}

// OPS-08: what is allowed can be replaced, as a whole or not at all.
func TestSetAllow(t *testing.T) {
	url, _, _ := target(t, nil)
	c := open(t, outward.Options{Allow: []string{"127.0.0.1"}})
	if err := c.SetAllow([]string{"10.0.0.0/8", "10.0.0.1/8"}); err == nil {
		t.Error("a network that is none was taken")
	}
	if a, err := post(t, c, url); err != nil || !a.OK() {
		t.Errorf("after an error: %+v, %v", a, err)
	}
	if err := c.SetAllow([]string{"10.0.0.0/8"}); err != nil {
		t.Fatal(err)
	}
	if _, err := post(t, c, url); !refused(err) {
		t.Errorf("an address that is allowed no longer: %v, want Refused", err)
	}
}

// OPS-08: a name that was outside and is inside now is refused, and its address is not told.
func TestNameFlips(t *testing.T) {
	_, port, asked := target(t, nil)
	resolver, say := nameServer(t)
	allowed := open(t, outward.Options{Allow: []string{"127.0.0.1"}, Resolver: resolver})
	say("127.0.0.1")
	if a, err := post(t, allowed, "http://hook.example:"+port+"/"); err != nil || !a.OK() {
		t.Fatal(a, err)
	}
	for _, to := range []string{"127.0.0.2", "169.254.169.254", "10.0.0.1"} {
		say(to)
		_, err := post(t, allowed, "http://hook.example:"+port+"/")
		if !refused(err) || strings.Contains(err.Error(), to) {
			t.Errorf("the name leads to %s: %v, want Refused without the address", to, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("%d requests arrived, want 1", asked.Load())
	}
}

// OPS-08: no redirect, a bounded answer, and nothing of it is told.
func TestAnswer(t *testing.T) {
	c := open(t, outward.Options{Allow: []string{"127.0.0.1"}})
	_, insidePort, reached := target(t, nil)
	for status, want := range map[int]bool{200: true, 202: true, 204: true, 301: false, 302: false, 307: false, 400: false, 410: false, 500: false} {
		url, _, _ := target(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:"+insidePort+"/")
			w.WriteHeader(status)
		})
		if a, err := post(t, c, url); err != nil || a.Status != status || a.OK() != want {
			t.Errorf("%d: %+v, %v", status, a, err)
		}
	}
	if reached.Load() > 0 {
		t.Error("a redirect was followed")
	}
	url, _, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", r.Header.Get("Say"))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	for text, want := range map[string]string{"7": "7s", "-1": "0s", "soon": "0s", "99999999": "1h0m0s"} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
		r.Header.Set("Say", text)
		if a, err := c.Send(r); err != nil || a.RetryAfter.String() != want {
			t.Errorf("Retry-After %q: %+v, %v", text, a, err)
		}
	}
	sent := make(chan int, 1)
	url, _, _ = target(t, func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for range 4096 { // 64 MiB
			m, err := w.Write(make([]byte, 16<<10))
			n += m
			if err != nil {
				break
			}
		}
		sent <- n
	})
	if a, err := post(t, c, url); err != nil || !a.OK() {
		t.Errorf("a long answer: %+v, %v", a, err)
	}
	if n := <-sent; n >= 64<<20 {
		t.Errorf("the whole answer of %d bytes was taken", n)
	}
}

// An error has neither the address of the target nor its secrets.
func TestErrorsAreQuiet(t *testing.T) {
	c := open(t, outward.Options{Allow: []string{"127.0.0.1"}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	for _, url := range []string{"http://" + at + "/services/canary?token=canary", "http://169.254.169.254/canary"} {
		if _, err := post(t, c, url); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "ftp://a.example/", "http://", "http://user:canary@a.example/", "https://a.example/#canary", "http://2130706433/", "http://[::1", "//a.example/"} {
		if err := outward.CheckURL(url); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("CheckURL(%q) = %v", url, err)
		}
	}
	for _, url := range []string{"https://a.example/x?y=z", "http://127.0.0.1:8080/", "https://[2606:2800:220:1::1]/", "https://xn--mnchen-3ya.example/"} {
		if err := outward.CheckURL(url); err != nil {
			t.Errorf("CheckURL(%q) = %v", url, err)
		}
	}
}

// nameServer resolves every name to one address of IPv4.
func nameServer(t *testing.T) (*net.Resolver, func(address string)) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var answer atomic.Pointer[netip.Addr]
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			reply, err := answered(buf[:n], *answer.Load())
			if err != nil {
				continue
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	return resolver, func(address string) {
		ip := netip.MustParseAddr(address)
		answer.Store(&ip)
	}
}

func answered(question []byte, ip netip.Addr) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, fmt.Errorf("%d questions", len(m.Questions))
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: ip.As4()},
		}}
	}
	return m.Pack()
}
