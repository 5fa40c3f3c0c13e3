package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

// bare is an answer that keeps nothing.
type bare struct{ header http.Header }

func (b *bare) Header() http.Header         { return b.header }
func (b *bare) Write(p []byte) (int, error) { return len(p), nil }
func (b *bare) WriteHeader(int)             {}

// BenchmarkAuthRequest is an answer to nginx without the server around it.
func BenchmarkAuthRequest(b *testing.B) {
	is := counterfoiltest.New(b)
	made := keys(b)
	g, err := gateway.New(gateway.Options{
		Verifier: is.Verifier(), TrustedProxies: loopback, Routes: []gateway.Route{{Origin: app, Prefix: "/"}},
		AssertionKeys: func() *gateway.AssertionKeys { return made },
	})
	if err != nil {
		b.Fatal(err)
	}
	handler := g.Handler()
	for name, carrier := range map[string]counterfoil.Carrier{"jwt": counterfoil.CarrierBearer, "cookie": counterfoil.CarrierCookie} {
		r := httptest.NewRequest("GET", gateway.AuthRequestPath, nil)
		r.RemoteAddr = "127.0.0.1:1234"
		r.Header.Set("X-Original-Method", "GET")
		r.Header.Set("X-Original-URL", app+"/reports/7?a=b")
		r.Header.Set("Accept", "text/html")
		access := is.Login("alice", carrier, "staff").Access.Reveal()
		if carrier == counterfoil.CarrierBearer {
			r.Header.Set("Authorization", "Bearer "+access)
		} else {
			r.Header.Set("Cookie", source.InsecureCookieName+"="+access)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &bare{http.Header{}}
				handler.ServeHTTP(w, r)
				if w.header["Counterfoil-Subject"][0] != "alice" {
					b.Fatal(w.header)
				}
			}
		})
	}
}

// BenchmarkAssertion is what an assertion costs that is kept, and one that is made.
func BenchmarkAssertion(b *testing.B) {
	a, s, now := gateway.NewAudience(1<<16), new(counterfoil.Session), time.Now()
	for n := range 10_000 {
		a.Put(&counterfoil.Session{ID: strconv.Itoa(n)}, now)
	}
	a.Put(s, now)
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !a.Has(s) {
				b.Fatal("it is not kept")
			}
		}
	})
	made := keys(b)
	session := &counterfoil.Session{ID: "ses_x", Issuer: app, Subject: "alice", Client: "web", Roles: []string{"staff"}, AuthTime: now}
	b.Run("made", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := made.Sign(session, app, now, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
}
