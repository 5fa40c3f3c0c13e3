package server_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// The lifetimes are the caller's; one that the issuer would not keep stops the start.
func TestLifetimes(t *testing.T) {
	c := server.Config{
		Store: memory.New(), URL: "http://127.0.0.1:8080", Logger: slog.New(slog.DiscardHandler),
		AccessTTL: time.Minute, Absolute: 2 * time.Hour, InsecureHashes: true,
	}
	e, err := server.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	at := time.Now()
	issued, err := e.Issuer().Login(t.Context(), login.Proof{Subject: "alice", At: at}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	if issued.ExpiresIn > time.Minute || issued.SessionExpires.Sub(at) > 2*time.Hour+time.Minute || issued.SessionExpires.Sub(at) < time.Hour {
		t.Errorf("a copy lives for %v, its session until %v", issued.ExpiresIn, issued.SessionExpires)
	}
	c.AccessTTL = time.Hour
	if _, err := server.Open(t.Context(), c); err == nil {
		t.Error("copies that live for an hour are accepted")
	}
}

// Each signing algorithm, checked by the embedded server's own verifier. HS256 has
// no public key: its set is empty, and a verifier elsewhere does not start (TOK-03).
func TestAlgorithms(t *testing.T) {
	for _, alg := range []string{"", "ES384", "Ed25519", "RS256", "PS256", "HS256"} {
		web := httptest.NewUnstartedServer(nil)
		url := "http://" + web.Listener.Addr().String()
		e, err := server.Open(t.Context(), server.Config{
			Store: memory.New(), URL: url, Algorithm: alg, InsecureHashes: true, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		web.Config.Handler = e
		web.Start()
		issued, err := e.Issuer().Login(t.Context(), login.Proof{Subject: "alice", At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
		if err != nil {
			t.Fatal(err)
		}
		access := issued.Access.Reveal()
		if s, err := e.Verifier().Verify(t.Context(), access); err != nil || s.Subject != "alice" {
			t.Errorf("%s: Verify = %v, %v", alg, s, err)
		}
		_, key, err := e.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "service", Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect}})
		if err != nil {
			t.Fatal(err)
		}
		source, err := counterfoil.Remote(url, counterfoil.RemoteOptions{Credential: key.Reveal()})
		if err != nil {
			t.Fatal(err)
		}
		jwks, err := source.Keys(t.Context())
		if err != nil || bytes.Contains(jwks, []byte(`"k":`)) || bytes.Contains(jwks, []byte(`"d":`)) {
			t.Errorf("%s: key set %s, %v", alg, jwks, err)
		}
		v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: url, Audience: url})
		switch {
		case alg == "HS256" && err == nil:
			t.Error("a verifier without the secret starts")
		case alg != "HS256" && err != nil:
			t.Error(err)
		case err == nil:
			if _, err := v.Verify(t.Context(), access); err != nil {
				t.Errorf("%s: Verify elsewhere = %v", alg, err)
			}
		}
		if v != nil {
			v.Close()
		}
		web.Close()
		e.Close()
	}
}

// A check of a copy that was seen before costs the server's own verifier no allocation, as it
// costs any other. It did while the server gave that verifier a clock of its own.
func TestCheckAllocatesNothing(t *testing.T) {
	e, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), URL: "http://127.0.0.1:8080", InsecureHashes: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	issued, err := e.Issuer().Login(t.Context(), login.Proof{Subject: "alice", At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	access := issued.Access.Reveal()
	check := func() {
		if _, err := e.Verifier().Verify(t.Context(), access); err != nil {
			t.Error(err)
		}
	}
	check() // first sight
	// Now and then the clocks are sampled, which allocates: the mean of many is below one.
	if n := testing.AllocsPerRun(1000, check); n > 0 {
		t.Errorf("%v allocations a check", n)
	}
}
