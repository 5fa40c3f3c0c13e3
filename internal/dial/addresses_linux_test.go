package dial_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/dial"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// node is a listener of a server that can hang: it takes connections and bytes, and says
// nothing, as one does that is stopped, or whose network has gone.
type node struct {
	net.Listener
	said atomic.Int64 // bytes

	mu     sync.Mutex // guards goesOn
	goesOn chan struct{}
}

// hang is until the returned function is called.
func (n *node) hang() (goOn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.goesOn = make(chan struct{})
	return sync.OnceFunc(func() { close(n.goesOn) })
}

func (n *node) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &line{Conn: conn, of: n, over: make(chan struct{})}, nil
}

// line is a connection to a node.
type line struct {
	net.Conn
	of    *node
	close sync.Once
	over  chan struct{}
}

func (l *line) wait() {
	l.of.mu.Lock()
	goesOn := l.of.goesOn
	l.of.mu.Unlock()
	if goesOn == nil {
		return
	}
	select {
	case <-goesOn:
	case <-l.over:
	}
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.wait()
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	l.wait()
	l.of.said.Add(int64(len(b)))
	return l.Conn.Write(b)
}

func (l *line) Close() error {
	l.close.Do(func() { close(l.over) })
	return l.Conn.Close()
}

// The issuer's name leads to two nodes and to an address where no node listens. When the
// node that a verifier follows hangs, it follows the other one, and back again, by HTTP/1.1
// and by HTTP/2, whose requests share a connection that no time-out of theirs ends.
func TestNameOfSeveralNodes(t *testing.T) {
	t.Parallel()
	for name, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, err := net.Listen("tcp", "127.0.0.2:0")
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(first.Addr().String())
			second, err := net.Listen("tcp", "127.0.0.3:"+port)
			if err != nil {
				t.Fatal(err)
			}
			nodes := []*node{{Listener: first}, {Listener: second}}
			url := "https://issuer.example.com:" + port
			auth, key := openAuth(t, url)
			roots := x509.NewCertPool()
			for _, n := range nodes {
				web := httptest.NewUnstartedServer(auth)
				_ = web.Listener.Close()
				web.Listener, web.EnableHTTP2 = n, two
				web.StartTLS()
				t.Cleanup(web.Close)
				roots.AddCert(web.Certificate())
			}
			var answer atomic.Pointer[[]netip.Addr]
			answer.Store(&[]netip.Addr{netip.MustParseAddr("127.0.0.4"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")})
			transport := dial.New("issuer.example.com", nameServer(t, &answer), nil)
			transport.TLSClientConfig = &tls.Config{RootCAs: roots}
			t.Cleanup(transport.CloseIdleConnections)
			remote, err := counterfoil.Remote(url, counterfoil.RemoteOptions{Credential: key, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			v, err := counterfoil.NewVerifier(t.Context(), remote, counterfoil.Options{Issuer: url, Audience: url, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(v.Close)
			at := 0 // whom it follows
			if nodes[1].said.Load() > nodes[0].said.Load() {
				at = 1
			}
			for range 2 { // there and back
				s := signIn(t, auth.Issuer())
				if _, err := v.Verify(t.Context(), s.Access.Reveal()); err != nil {
					t.Fatal(err)
				}
				goOn := nodes[at].hang()
				t.Cleanup(goOn)
				begun, said := time.Now(), nodes[1-at].said.Load()
				if _, err := auth.Issuer().Revoke(t.Context(), source.ScopeSession, s.Session.ID, audit.Act{}); err != nil {
					t.Fatal(err)
				}
				var oldest time.Duration
				for err = nil; !errors.Is(err, counterfoil.ErrRevoked); _, err = v.Verify(t.Context(), s.Access.Reveal()) {
					if oldest = max(oldest, v.Staleness()); time.Since(begun) > time.Minute {
						t.Fatalf("Verify a minute after the revocation = %v: the other node is not followed", err)
					}
					<-time.After(time.Millisecond)
				}
				if nodes[1-at].said.Load() == said {
					t.Error("the other node was not asked")
				}
				t.Logf("followed the other node after %v; what it knew was at most %v old", time.Since(begun).Round(time.Millisecond), oldest.Round(time.Millisecond))
				goOn()
				at = 1 - at
			}
		})
	}
}

// openAuth is an auth server, and a key for verifiers of it.
func openAuth(t *testing.T, url string) (*server.Embedded, string) {
	t.Helper()
	db := memory.New()
	t.Cleanup(func() { _ = db.Close() })
	auth, err := server.Open(t.Context(), server.Config{Store: db, URL: url, InsecureHashes: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	_, key, err := auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "test", Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect}})
	if err != nil {
		t.Fatal(err)
	}
	return auth, key.Reveal()
}

// signIn returns a login by JWT.
func signIn(t *testing.T, i *issuer.Issuer) *issuer.Issued {
	t.Helper()
	rev, err := i.SubjectRev(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := i.Login(t.Context(), login.Proof{Subject: "alice", At: time.Now(), SubjectRev: rev}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}
