package gateway_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// keys are new keys of a gateway.
func keys(t testing.TB) *gateway.AssertionKeys {
	text, err := gateway.NewAssertionKey()
	if err != nil {
		t.Fatal(err)
	}
	all, err := gateway.ReadAssertionKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// read returns the header and the claims of an assertion of a key in jwks.
func read(t *testing.T, assertion string, jwks []byte) (header, claims map[string]any) {
	t.Helper()
	known, skipped, err := token.ParseJWKS(jwks)
	if err != nil || len(skipped) > 0 {
		t.Fatal(err, skipped)
	}
	payload, _, err := token.VerifyJWS(assertion, gateway.AssertionType, func(kid string) (token.Key, bool) {
		n := slices.IndexFunc(known, func(k token.Key) bool { return k.ID == kid })
		return known[max(n, 0)], n >= 0
	})
	if err != nil {
		t.Fatal(err)
	}
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(assertion, ".")[0])
	if err = errors.Join(err, json.Unmarshal(head, &header), json.Unmarshal([]byte(payload), &claims)); err != nil {
		t.Fatal(err)
	}
	return header, claims
}

// GW-14: each answer that lets a request pass has a JWT for that service alone, which says who
// asks and no more, and which any holder of the published keys can check.
func TestAssertion(t *testing.T) {
	b := newBench(t)
	in := b.issuer.Login("alice", counterfoil.CarrierCookie, "staff", "ops")
	w := answer(b.gateway.Handler(), httptest.NewRequest("GET", gateway.AssertionKeysPath, nil))
	jwks := w.Body.Bytes()
	if w.Code != 200 || w.Result().Header.Get("Content-Type") != "application/jwk-set+json" || strings.Contains(string(jwks), `"d"`) {
		t.Fatal(w.Code, w.Result().Header, string(jwks))
	}
	if w := answer(b.gateway.Handler(), httptest.NewRequest("POST", gateway.AssertionKeysPath, nil)); w.Code != 405 || w.Result().Header.Get("Allow") == "" {
		t.Errorf("POST of the keys: %d", w.Code)
	}
	for _, k := range b.kinds() {
		for target, audience := range map[string]string{app + "/x": app, "https://app.example.org/x": "https://app.example.org", app + "/remote": "reports"} {
			r := k.ask("GET", target)
			r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: in.Access.Reveal()})
			header, claims := read(t, answer(k.handler, r).Result().Header.Get("Counterfoil-Assertion"), jwks)
			life := claims["exp"].(float64) - claims["iat"].(float64)
			if began := time.Unix(int64(claims["iat"].(float64)), 0); life < 2 || life > 60 || time.Since(began) > time.Minute || time.Since(began) < -time.Second {
				t.Errorf("%s %s: from %v for %v seconds", k.name, target, began, life)
			}
			if claims["auth_time"].(float64) != float64(in.Session.AuthTime.Unix()) {
				t.Errorf("%s: auth_time %v, want %v", k.name, claims["auth_time"], in.Session.AuthTime.Unix())
			}
			for name, want := range map[string]string{"typ": gateway.AssertionType, "alg": "ES256"} {
				if header[name] != want {
					t.Errorf("%s: header %s is %v, want %s", k.name, name, header[name], want)
				}
			}
			for name, want := range map[string]string{"iss": gateway.AssertionIssuer(b.issuer.URL), "aud": audience, "sub": "alice", "sid": in.Session.ID, "client_id": in.Session.Client} {
				if claims[name] != want {
					t.Errorf("%s %s: %s is %v, want %s", k.name, target, name, claims[name], want)
				}
			}
			if roles, _ := claims["roles"].([]any); !slices.Equal(roles, []any{"staff", "ops"}) {
				t.Errorf("%s: roles %v", k.name, claims["roles"])
			}
			for name := range claims {
				if !slices.Contains([]string{"iss", "aud", "sub", "sid", "client_id", "roles", "scope", "acr", "auth_time", "iat", "exp"}, name) {
					t.Errorf("%s: claim %s: %v", k.name, name, claims[name])
				}
			}
		}
		for _, target := range []string{"/public/x", "/x"} {
			w := answer(k.handler, k.ask("GET", app+target))
			if values := w.Result().Header["Counterfoil-Assertion"]; w.Code == 200 && (len(values) != 1 || values[0] != "") || w.Code != 200 && len(values) > 0 {
				t.Errorf("%s %s without a credential: %d, assertion %q", k.name, target, w.Code, values)
			}
		}
	}
}

// trusting is the source of a verifier that takes the keys of a gateway for those of the issuer, and gives
// sessions these attributes.
type trusting struct {
	counterfoil.Source
	jwks       []byte
	attributes map[string]string
	silent     atomic.Bool // the log is not answered
}

func (s *trusting) Keys(ctx context.Context) ([]byte, error) {
	if s.jwks != nil {
		return s.jwks, nil
	}
	return s.Source.Keys(ctx)
}

func (s *trusting) Lookup(ctx context.Context, credential string) (*counterfoil.Session, error) {
	found, err := s.Source.Lookup(ctx, credential)
	if err == nil {
		found.Attributes = s.attributes
	}
	return found, err
}

// Log is for bounds that the issuer does not allow.
func (s *trusting) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	if s.silent.Load() {
		return source.Page{}, counterfoil.ErrUnavailable
	}
	f.Bound = min(f.Bound, 10*time.Second)
	return s.Source.Log(ctx, f)
}

// verifier returns a verifier that follows is by way of s.
func verifier(t *testing.T, is *counterfoiltest.Issuer, s *trusting, o counterfoil.Options) *counterfoil.Verifier {
	t.Helper()
	remote, err := counterfoil.Remote(is.URL, counterfoil.RemoteOptions{Credential: is.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	s.Source, o.Issuer, o.Audience = remote, is.URL, is.URL
	v, err := counterfoil.NewVerifier(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// GW-14, TOK-19: an assertion opens nothing, not even where its key is trusted and its audience is the
// reader's, and an access token is no assertion.
func TestAssertionIsNoAccessToken(t *testing.T) {
	b := newBench(t)
	access := b.issuer.Token("alice")
	assertion := answer(b.gateway.ForwardAuth(), signed(b.kinds()[0].ask("GET", app+"/x"), access)).Result().Header.Get("Counterfoil-Assertion")
	v := verifier(t, b.issuer, &trusting{jwks: b.keys.JWKS()}, counterfoil.Options{})
	for name, v := range map[string]*counterfoil.Verifier{"the issuer's keys": b.issuer.Verifier(), "the gateway's keys": v} {
		if _, err := v.Verify(t.Context(), assertion); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("with %s: %v, want ErrInvalidToken", name, err)
		}
	}
	for _, path := range []string{"/oauth/introspect", "/v1/session"} {
		method, body, credential := "GET", "", assertion
		if path == "/oauth/introspect" {
			method, body, credential = "POST", url.Values{"token": {assertion}}.Encode(), b.issuer.APIKey
		}
		r, err := http.NewRequestWithContext(t.Context(), method, b.issuer.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultClient.Do(signed(r, credential))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Active bool }
		err = json.NewDecoder(res.Body).Decode(&answer)
		if _ = res.Body.Close(); err != nil || answer.Active || method == "GET" && res.StatusCode != 401 {
			t.Errorf("%s: %d %v %v", path, res.StatusCode, answer, err)
		}
	}
	source, err := counterfoil.Remote(b.issuer.URL, counterfoil.RemoteOptions{Credential: b.issuer.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	set, err := source.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known, _, err := token.ParseJWKS(set)
	if err != nil {
		t.Fatal(err)
	}
	find := func(kid string) (token.Key, bool) {
		n := slices.IndexFunc(known, func(k token.Key) bool { return k.ID == kid })
		return known[max(n, 0)], n >= 0
	}
	if _, _, err := token.VerifyJWS(access, token.AccessType, find); err != nil {
		t.Error(err)
	}
	if _, _, err := token.VerifyJWS(access, gateway.AssertionType, find); err == nil {
		t.Error("an access token is read as an assertion")
	}
}

// An assertion is believed for at most a minute, and no longer than the session's copy and than what the
// verifier knows; at the end of both it is still believed for long enough to be read. It is sent
// again until half of that is over.
func TestAssertionLife(t *testing.T) {
	is := counterfoiltest.New(t)
	for _, c := range []struct {
		name        string
		bound       time.Duration
		at          func(in time.Time, expires time.Time) time.Time
		least, most time.Duration
	}{
		{"a long bound", time.Minute, func(in, _ time.Time) time.Time { return in.Add(time.Minute) }, 40 * time.Second, time.Minute},
		{"a short bound", 10 * time.Second, func(in, _ time.Time) time.Time { return in.Add(time.Minute) }, 2 * time.Second, 10 * time.Second},
		{"near its end", time.Minute, func(_, end time.Time) time.Time { return end.Add(-20 * time.Second) }, 19 * time.Second, 20 * time.Second},
		{"in the leeway", time.Minute, func(_, end time.Time) time.Time { return end.Add(20 * time.Second) }, 2 * time.Second, 2 * time.Second},
	} {
		in := is.Login("alice", counterfoil.CarrierBearer)
		now := c.at(time.Now(), in.Session.Expires).Truncate(time.Second)
		made := keys(t)
		g, err := gateway.New(gateway.Options{
			Verifier: verifier(t, is, new(trusting), counterfoil.Options{Bound: c.bound}), TrustedProxies: loopback, Routes: []gateway.Route{{Origin: app, Prefix: "/"}},
			AssertionKeys: func() *gateway.AssertionKeys { return made }, Now: func() time.Time { return now },
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t, is, g, made}
		ask := func() string {
			h := answer(g.ForwardAuth(), signed(b.kinds()[0].ask("GET", app+"/"), in.Access.Reveal())).Result().Header
			return h.Get("Counterfoil-Assertion")
		}
		first := ask()
		_, claims := read(t, first, made.JWKS())
		life := time.Duration(claims["exp"].(float64)-float64(now.Unix())) * time.Second
		if claims["iat"].(float64) != float64(now.Unix()) || life < c.least || life > c.most {
			t.Errorf("%s: from %v for %v, want %v to %v", c.name, claims["iat"], life, c.least, c.most)
			continue
		}
		now = now.Add(life/2 - 500*time.Millisecond)
		if ask() != first {
			t.Errorf("%s: another one before half of its life is over", c.name)
		}
		now = now.Add(1500 * time.Millisecond)
		if ask() == first {
			t.Errorf("%s: the same after half of its life", c.name)
		}
		now = now.Add(-time.Hour)
		again := ask()
		if _, claims := read(t, again, made.JWKS()); claims["iat"].(float64) != float64(now.Unix()) {
			t.Errorf("%s: after the clock was set back: iat %v, want %v", c.name, claims["iat"], now.Unix())
		}
	}
}

// Where a route goes on with knowledge that is too old, an assertion ends when the route would; where it asks
// the issuer, it lives as one on fresh knowledge. Neither is sent twice.
func TestAssertionOnStaleKnowledge(t *testing.T) {
	is, made, ahead := counterfoiltest.New(t), keys(t), new(atomic.Int64)
	follows := new(trusting)
	v := verifier(t, is, follows, counterfoil.Options{ServeStale: 30 * time.Second, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	g, err := gateway.New(gateway.Options{
		Verifier: v, TrustedProxies: loopback, AssertionKeys: func() *gateway.AssertionKeys { return made },
		Routes: []gateway.Route{{Origin: app, Prefix: "/stale", Stale: counterfoil.ServeStale(30 * time.Second)}, {Origin: app, Prefix: "/asks", Stale: counterfoil.Introspect()}, {Origin: app, Prefix: "/"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, in := &bench{t, is, g, made}, is.Token("alice")
	ask := func(path string) *httptest.ResponseRecorder {
		return answer(g.ForwardAuth(), signed(b.kinds()[0].ask("GET", app+path), in))
	}
	if w := ask("/"); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	follows.silent.Store(true)
	ahead.Store(int64(15 * time.Second))
	if w := ask("/"); w.Code != 503 || w.Result().Header.Get("Counterfoil-Assertion") != "" {
		t.Errorf("on stale knowledge: %d", w.Code)
	}
	for path, most := range map[string]float64{"/stale": 25, "/asks": 10} {
		first := ask(path).Result().Header.Get("Counterfoil-Assertion")
		_, claims := read(t, first, made.JWKS())
		if life := claims["exp"].(float64) - claims["iat"].(float64); life > most || life < most/2 {
			t.Errorf("%s: for %v s, want at most %v", path, life, most)
		}
		if ask(path).Result().Header.Get("Counterfoil-Assertion") == first {
			t.Errorf("%s: the same again", path)
		}
	}
}

// An assertion ends with what it says: one about a revoked session, or with roles of before, is never sent again.
func TestAssertionOfRevoked(t *testing.T) {
	b := newBench(t)
	ask := func(in string) (int, string) {
		r := b.kinds()[0].ask("GET", app+"/x")
		r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: in})
		w := answer(b.gateway.ForwardAuth(), r)
		return w.Code, w.Result().Header.Get("Counterfoil-Assertion")
	}
	in := b.issuer.Login("alice", counterfoil.CarrierCookie, "staff")
	ask(in.Access.Reveal()) // looked up: the next finds the copy that the verifier keeps
	_, first := ask(in.Access.Reveal())
	if _, second := ask(in.Access.Reveal()); second != first || first == "" {
		t.Error("another assertion for the same session at the same time")
	}
	b.issuer.SetRoles("alice", "ops")
	_, second := ask(in.Access.Reveal())
	if _, claims := read(t, second, b.keys.JWKS()); second == first || claims["roles"].([]any)[0] != "ops" {
		t.Errorf("after the roles have changed: %v", claims)
	}
	b.issuer.Revoke(source.ScopeSession, in.Session.ID)
	if status, third := ask(in.Access.Reveal()); status != 401 || third != "" {
		t.Errorf("of a revoked session: %d %q", status, third)
	}
}

// What is kept has a bound, and the newest are kept.
func TestAssertionsKept(t *testing.T) {
	const most = 1000
	a := gateway.NewAudience(most)
	now := time.Now()
	for n := range 10 * most {
		s := &counterfoil.Session{ID: strconv.Itoa(n)}
		a.Put(s, now)
		if !a.Has(s) {
			t.Fatal("what was put is not there")
		}
		if kept := a.Len(); kept > most {
			t.Fatalf("%d are kept, want at most %d", kept, most)
		}
	}
	for n := range 3 {
		now = now.Add(time.Minute)
		a.Put(&counterfoil.Session{ID: strconv.Itoa(n)}, now)
	}
	if kept := a.Len(); kept > 2 {
		t.Errorf("%d are kept that are over", kept)
	}
}

// What is told of one session is told of another only if they are the same in every respect. The verifier
// makes another Session of one copy whenever it likes.
func TestSameSession(t *testing.T) {
	at := time.Now()
	one := func() *counterfoil.Session {
		return &counterfoil.Session{ID: "ses_1", Roles: []string{"staff"}, Attributes: map[string]string{"email": "a@b.test"}, Expires: at}
	}
	if !gateway.Same(one(), one()) {
		t.Error("two of one copy are not the same")
	}
	fields := reflect.TypeFor[counterfoil.Session]()
	for n := range fields.NumField() {
		other := one()
		switch field := reflect.ValueOf(other).Elem().Field(n).Addr().Interface().(type) {
		case *string:
			*field += "x"
		case *[]string:
			*field = append(*field, "x")
		case *uint64:
			*field++
		case *bool:
			*field = !*field
		case *time.Time:
			*field = field.Add(1)
		case *map[string]string:
			*field = map[string]string{"email": "c@d.test"}
		case *counterfoil.Carrier:
			*field = counterfoil.CarrierBearer
		case *counterfoil.Cursor:
			field.Seq++
		default:
			t.Fatalf("this test changes no %T", field)
		}
		if gateway.Same(one(), other) {
			t.Errorf("sessions with another %s are the same", fields.Field(n).Name)
		}
	}
	a := gateway.NewAudience(10)
	a.Put(one(), at)
	other := one()
	other.Roles = []string{"ops"} // in the place of the first
	if !a.Has(one()) || a.Has(other) {
		t.Error("what is kept is found by something else than the whole session")
	}
}

// Two keys in a file: the first signs, and both are published, so that they can change places.
func TestAssertionKeys(t *testing.T) {
	text := func(private any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	one, err := gateway.NewAssertionKey()
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	both, err := gateway.ReadAssertionKeys(slices.Concat([]byte("a comment\n"), text(edwards), one))
	if err != nil {
		t.Fatal(err)
	}
	if jwks := string(both.JWKS()); strings.Count(jwks, `"kid"`) != 2 || !strings.HasPrefix(jwks, `{"keys":[{"kty":"OKP"`) || strings.Contains(jwks, `"d"`) {
		t.Error(jwks)
	}
	again, err := gateway.ReadAssertionKeys(one)
	if err != nil || !strings.Contains(string(both.JWKS()), string(again.JWKS()[len(`{"keys":[`):len(again.JWKS())-len(`]}`)])) {
		t.Errorf("a key has another name in another file: %s, %v", again.JWKS(), err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{"nothing": nil, "junk": []byte("junk"), "P-384": text(p384), "X25519": text(x25519), "RSA": text(short), "twice": slices.Concat(one, one), "certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})}
	for name := range maps.Keys(bad) {
		if _, err := gateway.ReadAssertionKeys(bad[name]); err == nil {
			t.Errorf("%s: nil error", name)
		}
	}
}

// Remote-Email and Remote-Name are attributes of the session; one that would make two lines of a header is left out.
func TestRemoteAttributes(t *testing.T) {
	is := counterfoiltest.New(t)
	for _, c := range []struct{ name, want string }{{"Zoë Ångström", "Zoë Ångström"}, {"a\r\nRemote-User: root", ""}, {"a\x00b", ""}, {"\xff", ""}, {"", ""}} {
		g, err := gateway.New(gateway.Options{
			Verifier: verifier(t, is, &trusting{attributes: map[string]string{"email": "zoe@example.com", "name": c.name, "phone": "1"}}, counterfoil.Options{}), TrustedProxies: loopback,
			Routes: []gateway.Route{{Origin: app, Prefix: "/"}, {Origin: app, Prefix: "/remote", Identity: gateway.IdentityRemote}},
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t, is, g, nil}
		for _, k := range b.kinds() {
			for path, want := range map[string][]string{"/": {"", "", "", ""}, "/remote": {"zoe", "staff", "zoe@example.com", c.want}} {
				r := k.ask("GET", app+path)
				r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: is.Login("zoe", counterfoil.CarrierCookie, "staff").Access.Reveal()})
				h := answer(k.handler, r).Result().Header
				for n, name := range gateway.RemoteNames {
					if values := h[name]; len(values) != 1 || values[0] != want[n] {
						t.Errorf("%s %s: %s is %q, want %q", k.name, path, name, values, want[n])
					}
				}
				if h.Get("Counterfoil-Assertion") != "" {
					t.Errorf("%s: an assertion without a key", k.name)
				}
			}
		}
	}
}

// Each configuration of a proxy names each header, or its prefix: what it leaves out a visitor could send.
func TestSnippetsNameAll(t *testing.T) {
	for _, proxy := range []string{"nginx", "caddy", "haproxy", "traefik", "envoy"} {
		text, err := gateway.Snippet(proxy, "", "")
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ToLower(text)
		for _, name := range append(slices.Clone(gateway.IdentityNames), gateway.RemoteNames...) {
			prefix, _, _ := strings.Cut(name, "-")
			if name = strings.ToLower(name); !strings.Contains(text, name) && !strings.Contains(text, "prefix: "+strings.ToLower(prefix)+"-") {
				t.Errorf("%s does not name %s", proxy, name)
			}
		}
	}
}

// GW-14: a service behind the gateway itself gets the assertion, and neither the credential nor what the visitor sent in
// its place. A trace context that came is passed on as it is (W3C Trace Context), and none is made up.
func TestProxiedAssertion(t *testing.T) {
	b, got := newBench(t), make(chan http.Header, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer service.Close()
	web := httptest.NewUnstartedServer(nil)
	origin := "http://" + web.Listener.Addr().String()
	g, err := gateway.New(gateway.Options{
		Verifier: b.issuer.Verifier(), AssertionKeys: func() *gateway.AssertionKeys { return b.keys },
		Routes: []gateway.Route{{Origin: origin, Prefix: "/", Upstreams: []string{service.URL}}, {Origin: origin, Prefix: "/public", Anonymous: true, Upstreams: []string{service.URL}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	web.Config.Handler = g.Proxy()
	web.Start()
	defer web.Close()
	trace := map[string]string{
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "Baggage": "userId=alice;p=1,serverNode=DF%2028",
	}
	// The services find the keys here as well, by whatever name they know the gateway.
	for _, host := range []string{strings.TrimPrefix(origin, "http://"), "gateway.internal"} {
		r := httptest.NewRequest("GET", gateway.AssertionKeysPath, nil)
		r.Host = host
		if w := answer(g.Proxy(), r); w.Code != 200 || w.Body.String() != string(b.keys.JWKS()) {
			t.Errorf("the keys, asked for at %s: %d %s", host, w.Code, w.Body)
		}
	}
	access := b.issuer.Token("alice", "staff")
	for _, path := range []string{"/x", "/public"} {
		for _, traced := range []bool{true, false} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", origin+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Counterfoil-Assertion", "a.b.c")
			for name, value := range trace {
				if traced {
					r.Header.Set(name, value)
				}
			}
			res, err := http.DefaultClient.Do(signed(r, access))
			if err != nil {
				t.Fatal(err)
			}
			if _ = res.Body.Close(); res.StatusCode != 200 {
				t.Fatalf("%s: %d", path, res.StatusCode)
			}
			h := <-got
			assertions := h["Counterfoil-Assertion"]
			if len(assertions) != 1 || h["Authorization"] != nil {
				t.Fatalf("%s: the service gets %v", path, h)
			}
			if path == "/public" {
				if assertions[0] != "" {
					t.Errorf("%s: %q", path, assertions[0])
				}
			} else if _, claims := read(t, assertions[0], b.keys.JWKS()); claims["aud"] != origin || claims["sub"] != "alice" {
				t.Errorf("%s: %v", path, claims)
			}
			for name, value := range trace {
				if want := map[bool]string{true: value}[traced]; h.Get(name) != want || len(h[name]) > 1 {
					t.Errorf("%s: %s: %q, want %q", path, name, h[name], want)
				}
			}
		}
	}
}
