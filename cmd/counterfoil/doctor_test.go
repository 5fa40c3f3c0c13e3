package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// What browsers do by RFC 6265bis, one case in each line.
func TestCookieVerdict(t *testing.T) {
	for _, c := range []struct {
		app, auth, sameSite string
		size                int
		fetch, link, form   bool
		hint                string
	}{
		{"https://auth.example.com", "https://auth.example.com", "strict", 0, true, true, true, ""},
		{"https://app.example.com", "https://auth.example.com", "lax", 0, true, true, true, "CORS"},
		{"https://app.example.com:8443", "https://auth.example.com", "strict", 0, true, true, true, "CORS"},
		{"https://app.example.co.uk", "https://auth.example.co.uk", "lax", 0, true, true, true, ""},
		{"https://one.co.uk", "https://two.co.uk", "lax", 0, false, true, false, "co.uk is a public suffix"},
		{"https://a.github.io", "https://b.github.io", "strict", 0, false, false, false, "github.io is a public suffix"},
		{"https://shop.example", "https://auth.example.com", "lax", 0, false, true, false, "one registrable domain"},
		{"https://shop.example", "https://auth.example.com", "none", 0, true, true, true, "CHIPS"},
		{"http://app.example.com", "https://auth.example.com", "lax", 0, false, true, false, "the schemes differ"},
		{"https://app.example.com", "http://auth.example.com", "lax", 0, false, false, false, ""},
		{"http://localhost:3000", "http://localhost:8080", "lax", 0, true, true, true, "for development"},
		{"http://127.0.0.1:3000", "http://localhost:8080", "lax", 0, false, true, false, ""},
		{"http://127.0.0.1:3000", "http://127.0.0.2:8080", "lax", 0, false, true, false, ""},
		{"https://10.0.0.1", "https://10.0.0.1", "lax", 0, true, true, true, ""},
		{"https://app.example.com", "https://auth.example.com", "lax", 4097, false, false, false, ""},
		{"https://app.example.com", "https://auth.example.com", "lax", 4000, true, true, true, "browsers drop it"},
		{"https://APP.Example.com", "https://auth.example.com.", "lax", 0, true, true, true, ""},
	} {
		app, err := url.Parse(c.app)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := url.Parse(c.auth)
		if err != nil {
			t.Fatal(err)
		}
		v := judgeCookie(app, auth, c.sameSite, c.size)
		if got := [3]bool{v.Requests[0].Sent, v.Requests[1].Sent, v.Requests[2].Sent}; got != [3]bool{c.fetch, c.link, c.form} {
			t.Errorf("%s to %s, %s: fetch, link, form = %v: %+v", c.app, c.auth, c.sameSite, got, v.Requests)
		}
		if hints := strings.Join(v.Hints, "\n"); !strings.Contains(hints, c.hint) {
			t.Errorf("%s to %s: hints\n%s\nwant %q", c.app, c.auth, hints, c.hint)
		}
	}
}

// state is the worst result in an area.
func (d *doctor) state(area string) string {
	worst := ""
	for _, s := range d.findings {
		if s.Area == area && (worst == "" || worst == isOK || s.State == isFail) {
			worst = s.State
		}
	}
	return worst
}

func TestDoctorCertificate(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, until time.Duration
		host, want  string
	}{
		"good but self-signed": {-time.Hour, 90 * 24 * time.Hour, "auth.example.com", isWarn},
		"soon":                 {-80 * 24 * time.Hour, 10 * 24 * time.Hour, "auth.example.com", isWarn},
		"short-lived":          {-time.Hour, 5 * 24 * time.Hour, "auth.example.com", isWarn},
		"expired":              {-90 * 24 * time.Hour, -time.Hour, "auth.example.com", isFail},
		"not yet":              {time.Hour, 24 * time.Hour, "auth.example.com", isFail},
		"for another":          {-time.Hour, 90 * 24 * time.Hour, "www.example.com", isFail},
	} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"auth.example.com"},
			NotBefore: now.Add(c.from), NotAfter: now.Add(c.until),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		own, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{settings: &settings{}, now: func() time.Time { return now }}
		d.judgeChain("here", []*x509.Certificate{own}, c.host)
		if got := d.state("tls"); got != c.want {
			t.Errorf("%s: %s, want %s: %+v", name, got, c.want, d.findings)
		}
	}
}

func TestDoctorJudges(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		area, want string
		judge      func(d *doctor)
	}{
		"clocks agree":    {"store", isOK, func(d *doctor) { d.skew("store", "its", -1500*time.Millisecond, time.Millisecond) }},
		"clocks disagree": {"store", isWarn, func(d *doctor) { d.skew("store", "its", 2100*time.Millisecond, time.Millisecond) }},
		"a slow answer":   {"store", isOK, func(d *doctor) { d.skew("store", "its", 2100*time.Millisecond, time.Second) }},
		"an hour":         {"store", isFail, func(d *doctor) { d.skew("store", "its", -time.Hour, time.Millisecond) }},
		"a young key": {"keys", isOK, func(d *doctor) {
			d.judgeKeys([]keyring.Description{{Status: "active", From: now.Add(-24 * time.Hour)}})
		}},
		"a key that stays": {"keys", isWarn, func(d *doctor) { d.judgeKeys([]keyring.Description{{Status: "active", From: now.AddDate(0, 0, -33)}}) }},
		"no key":           {"keys", isFail, func(d *doctor) { d.judgeKeys([]keyring.Description{{Status: "next"}}) }},
		"a proxy that no setting names": {"proxies", isFail, func(d *doctor) {
			d.Issuer, d.Listen = "https://auth.example.com", "10.0.0.1:8080"
			d.proxies()
		}},
		"a proxy here, and another named": {"proxies", isFail, func(d *doctor) {
			d.Issuer, d.Listen, d.TrustedProxies = "https://auth.example.com", "127.0.0.1:8080", []string{"10.0.0.0/8"}
			d.proxies()
		}},
		"a proxy that is named": {"proxies", isOK, func(d *doctor) {
			d.Issuer, d.Listen, d.TrustedProxies = "https://auth.example.com", "127.0.0.1:8080", []string{"127.0.0.1"}
			d.proxies()
		}},
		"no proxy": {"proxies", isOK, func(d *doctor) { d.Issuer, d.TLSCert = "https://auth.example.com", "x.pem"; d.proxies() }},
	} {
		d := &doctor{settings: &settings{}, now: func() time.Time { return now }}
		c.judge(d)
		if got := d.state(c.area); got != c.want {
			t.Errorf("%s: %s, want %s: %+v", name, got, c.want, d.findings)
		}
	}
}

// A proxy may send the path of the issuer to the server, and not the place where OAuth clients
// look for its metadata.
func TestDoctorLooksForTheMetadata(t *testing.T) {
	const place = "/.well-known/oauth-authorization-server/auth"
	for answered, want := range map[string]string{place: isOK, "/auth" + place: isWarn} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET "+answered, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"issuer":"x"}`) })
		web := httptest.NewServer(mux)
		base, err := issuerURL(web.URL + "/auth")
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{settings: &settings{}, now: time.Now}
		if d.checkPlace(t.Context(), web.Client(), base); d.state("server") != want {
			t.Errorf("metadata at %s: %+v, want %s", answered, d.findings, want)
		}
		web.Close()
	}
	d := &doctor{settings: &settings{}}
	d.Issuer = "https://example.com/auth"
	if d.cookies(); len(d.findings) != 1 || !strings.Contains(d.findings[0].Text, "every path of example.com") {
		t.Errorf("cookies below a path: %+v", d.findings)
	}
}

// A proxy that replaces Referrer-Policy has browsers send forms that the server refuses.
func TestDoctorSeesAnotherReferrerPolicy(t *testing.T) {
	for policy, want := range map[string]string{"same-origin": isOK, "no-referrer": isWarn} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
			w.Header().Set("Referrer-Policy", policy)
			if r.URL.Path == "/v1/session" {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		base, err := issuerURL(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{settings: &settings{}, url: web.URL, now: time.Now}
		if d.checkAnswers(t.Context(), web.Client(), base); d.state("proxies") != want {
			t.Errorf("with %s: %+v, want %s", policy, d.findings, want)
		}
		web.Close()
	}
}
