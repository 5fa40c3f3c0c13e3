package journey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/faultnet"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/journey"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

const pass = "quarrel-lantern-49-ox-pebble"

// world is an auth server with a user for the monitor, and services.
type world struct {
	t     *testing.T
	url   string
	admin api.Client
	user  string

	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool] // may answer in place of the auth server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var handler atomic.Pointer[server.Embedded]
	web := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if first := w.before.Load(); first != nil && (*first)(out, r) {
			return
		}
		handler.Load().ServeHTTP(out, r)
	}))
	t.Cleanup(web.Close)
	db := memory.New()
	t.Cleanup(func() { _ = db.Close() })
	auth, err := server.Open(t.Context(), server.Config{Store: db, URL: web.URL, NoVerifier: true, MaxBound: time.Minute, InsecureHashes: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	handler.Store(auth)
	u, err := auth.Users().Register(t.Context(), rights.Owner(), audit.Act{}, "monitor", "", secret.New(pass), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), "monitor", audit.Act{}, func(*clients.Client) {}); err != nil {
		t.Fatal(err)
	}
	_, key, err := auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "test", Scopes: []string{directory.ScopeAdmin, directory.ScopeFeed, directory.ScopeIntrospect}, Clients: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	w.url, w.user, w.admin = web.URL, u.ID, api.Client{URL: web.URL, Key: key.Reveal(), HTTP: http.DefaultClient}
	return w
}

// follower is a service that follows the auth server with a bound, through a network that can be cut.
func (w *world) follower(bound time.Duration) (url string, network *faultnet.Proxy) {
	w.t.Helper()
	network, err := faultnet.Listen(strings.TrimPrefix(w.url, "http://"), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = network.Close() })
	remote, err := counterfoil.Remote(w.url, counterfoil.RemoteOptions{Credential: w.admin.Key, Transport: &http.Transport{DialContext: network.Dial}})
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := counterfoil.NewVerifier(w.t.Context(), remote, counterfoil.Options{Issuer: w.url, Audience: w.url, Bound: bound, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(v.Close)
	return w.serve(v.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))), network
}

func (w *world) serve(h http.Handler) string {
	web := httptest.NewServer(h)
	w.t.Cleanup(web.Close)
	return web.URL
}

// cut drops all that the network carries from now on.
func cut(network *faultnet.Proxy) {
	network.Set(faultnet.Fault{Mode: faultnet.Lose}, faultnet.Fault{Mode: faultnet.Lose})
}

// check is a journey with carriers to targets, with a bound of 2 s.
func (w *world) check(carriers string, targets ...string) *monitor.File {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(pass), 0o600); err != nil {
		w.t.Fatal(err)
	}
	text := "inside: [127.0.0.1]\nchecks:\n- {name: sign-in, journey: '" + w.url + "', user: monitor, password_file: password, client: monitor, bound: 2s, carriers: [" + carriers + "], targets: ["
	for i, url := range targets {
		text += "{name: t" + string(rune('0'+i)) + ", url: '" + url + "'},"
	}
	f, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte(text+"]}"))
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// round runs the journey once.
func round(ctx context.Context, t *testing.T, f *monitor.File) monitor.Result {
	t.Helper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	m, err := monitor.New(f, monitor.Options{
		Keeper: new(monitor.Memory), Dial: dial, Probes: map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error){monitor.Journey: journey.Probe(dial)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := m.Once(ctx)[0]
	t.Logf("%v: %s", r.Took, r.Failure)
	return r
}

// noSessions fails if the user of the monitor has a session.
func (w *world) noSessions() {
	w.t.Helper()
	all, _, err := w.admin.UserSessions(context.Background(), w.user)
	if err != nil || len(all) > 0 {
		w.t.Errorf("%d sessions are left, %v", len(all), err)
	}
}

// Each carrier is refused soon after the end of its session, at each target.
func TestAllIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, _ := w.follower(2 * time.Second)
	second, _ := w.follower(2 * time.Second)
	r := round(t.Context(), t, w.check("cookie, bearer, jwt-cookie, jwe, jwe-cookie", first, second))
	if !r.OK || len(r.Refusals) != 10 {
		t.Fatalf("%+v", r)
	}
	for _, refusal := range r.Refusals {
		if !refusal.Refused || refusal.After <= 0 || refusal.After > 2*time.Second {
			t.Errorf("%+v", refusal)
		}
	}
	w.noSessions()
}

// A journey signs in and refreshes as the client of its check.
func TestOwnClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, _ := w.follower(2 * time.Second)
	var mu sync.Mutex
	asked := map[string][]string{} // the clients of the bodies, by path; guarded by mu
	look := func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/login" && r.URL.Path != "/v1/refresh" {
			return false
		}
		data, err := io.ReadAll(r.Body)
		var body struct{ Client string }
		if err == nil {
			err = json.Unmarshal(data, &body)
		}
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		asked[r.URL.Path] = append(asked[r.URL.Path], body.Client)
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(data))
		return false
	}
	w.before.Store(&look)
	if r := round(t.Context(), t, w.check("bearer, jwt-cookie", good)); !r.OK {
		t.Errorf("%+v", r)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, path := range []string{"/v1/login", "/v1/refresh"} {
		if all := asked[path]; len(all) < 2 || slices.ContainsFunc(all, func(client string) bool { return client != "monitor" }) {
			t.Errorf("%s was called as %q, want the client monitor for each carrier", path, all)
		}
	}
}

// onlySignature believes every token with a signature of the auth server.
func (w *world) onlySignature() http.Handler {
	res, err := http.Get(w.url + "/.well-known/jwks.json")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&keys); err != nil {
		w.t.Fatal(err)
	}
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
		if err == nil {
			var claims jwt.Claims
			err = token.Claims(keys, &claims)
		}
		if err != nil {
			out.WriteHeader(http.StatusUnauthorized)
		}
	})
}

// One round shows each of the mistakes that make a revocation not bite.
func TestMistakesShowInOneRound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target   func(w *world) string
		reason   monitor.Reason
		critical bool
		says     string
	}{
		"it follows nobody": {func(w *world) string { return w.serve(w.onlySignature()) }, monitor.NotRefused, true, "bearer t0: a session is accepted 2."},
		"its bound is too large": {func(w *world) string {
			url, network := w.follower(time.Minute)
			w.atLogout(func() { cut(network) })
			return url
		}, monitor.NotRefused, true, "bearer t0: a session is accepted 2."},
		"the log is cut off when the session ends": {func(w *world) string {
			url, network := w.follower(2 * time.Second)
			w.atLogout(func() { cut(network) })
			return url
		}, monitor.Unsure, false, "bearer t0: status 503 is no refusal"},
		"the log was cut off before": {func(w *world) string {
			url, network := w.follower(2 * time.Second)
			cut(network)
			w.stale(url)
			return url
		}, monitor.Unsure, false, "bearer t0: after the login: status 503, want 200 to 299"},
		"it checks nothing": {func(w *world) string { return w.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) }, monitor.Unchecked, true, "t0: it answers 200 to a request without a credential"},
		"it believes any credential": {func(w *world) string {
			return w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					out.WriteHeader(http.StatusUnauthorized)
				}
			}))
		}, monitor.NotRefused, true, "bearer t0: a session is accepted 2."},
		"it refuses the new copy only": {func(w *world) string {
			good, _ := w.follower(2 * time.Second)
			seen := ""
			return w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				credential := r.Header.Get("Authorization")
				if seen == "" {
					seen = credential
				}
				if credential != "" && credential == seen {
					return // the first one is believed for ever
				}
				ask, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, good, nil)
				ask.Header = r.Header
				res, err := http.DefaultTransport.RoundTrip(ask)
				if err != nil {
					panic(err)
				}
				_ = res.Body.Close()
				out.WriteHeader(res.StatusCode)
			}))
		}, monitor.NotRefused, true, "bearer t0: a session is accepted 2."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := round(t.Context(), t, w.check("bearer", test.target(w)))
			if r.OK || r.Reason != test.reason || r.Critical != test.critical || !strings.HasPrefix(r.Failure, test.says) {
				t.Errorf("%+v, want %s, critical %v, %q", r, test.reason, test.critical, test.says)
			}
			w.noSessions()
		})
	}
}

// atLogout calls f before the auth server ends the first session.
func (w *world) atLogout(f func()) {
	var done atomic.Bool
	first := func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/logout" && done.CompareAndSwap(false, true) {
			f()
		}
		return false
	}
	w.before.Store(&first)
}

// stale waits until a service does not know enough to accept anybody.
func (w *world) stale(url string) {
	issued, err := w.admin.CreateSession(w.t.Context(), api.NewSession{Subject: w.user, Carrier: "bearer"})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		own := api.Client{URL: w.url, Key: issued.AccessToken, HTTP: http.DefaultClient}
		if err := own.Logout(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	}()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for range 1000 {
		r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+issued.AccessToken)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			return
		}
		<-look.C
	}
	w.t.Fatal("the service never becomes stale")
}

// The session is ended whatever happens: a target that fails, a refresh that fails, an auth server that
// cannot end it at once, a monitor that stops in the middle.
func TestTheSessionIsEnded(t *testing.T) {
	t.Parallel()
	fails := func(path string, times int32) func(http.ResponseWriter, *http.Request) bool {
		var n atomic.Int32
		return func(out http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path || n.Add(1) > times {
				return false
			}
			out.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	}
	for name, test := range map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		says   string
	}{
		"refresh": {fails("/v1/refresh", 1000), "bearer: refresh: status 503"},
		"logout":  {fails("/v1/logout", 2), "bearer: logout: status 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			good, _ := w.follower(2 * time.Second)
			w.before.Store(&test.before)
			r := round(t.Context(), t, w.check("bearer", good))
			if r.OK || r.Critical || r.Reason != monitor.BadSignIn || !strings.HasPrefix(r.Failure, test.says) {
				t.Errorf("%+v, want %s", r, test.says)
			}
			w.noSessions()
		})
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		target := w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") == "" {
				out.WriteHeader(http.StatusUnauthorized)
				return
			}
			stop()
			<-r.Context().Done()
		}))
		if r := round(ctx, t, w.check("jwt-cookie", target)); r.OK {
			t.Errorf("%+v", r)
		}
		w.noSessions()
	})
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		good, _ := w.follower(2 * time.Second)
		f := w.check("bearer", good)
		f.Checks[0].Sign.Password = secret.New("another-lantern-51-ox-pebble")
		if r := round(t.Context(), t, f); r.Reason != monitor.BadSignIn || strings.Contains(r.Failure, "lantern") {
			t.Errorf("%+v", r)
		}
	})
}

// A refresh token is for the auth server alone: no target gets it.
func TestTargetsGetNoRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, _ := w.follower(2 * time.Second)
	var names []string
	target := w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		for _, c := range r.Cookies() {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
		ask, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, good, nil)
		ask.Header = r.Header
		res, err := http.DefaultTransport.RoundTrip(ask)
		if err != nil {
			panic(err)
		}
		_ = res.Body.Close()
		out.WriteHeader(res.StatusCode)
	}))
	if r := round(t.Context(), t, w.check("jwt-cookie", target)); !r.OK {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(names, []string{"cf"}) {
		t.Errorf("the target got the cookies %q", names)
	}
}
