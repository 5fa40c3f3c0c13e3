package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// cuttable is an auth server whose log can be cut off.
type cuttable struct {
	*issuer.Issuer
	cut atomic.Bool
}

func (c *cuttable) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	if c.cut.Load() {
		return source.Page{}, counterfoil.ErrUnavailable
	}
	return c.Issuer.Log(ctx, f)
}

func openAuth(t *testing.T, bound time.Duration) (*cuttable, *counterfoil.Verifier) {
	const url = "https://auth.example"
	quiet := slog.New(slog.DiscardHandler)
	auth, err := server.Open(t.Context(), server.Config{Store: memory.New(), URL: url, Offline: true, InsecureHashes: true, SealKey: [32]byte{1}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c := &cuttable{Issuer: auth.Issuer()}
	v, err := counterfoil.NewVerifier(t.Context(), c, counterfoil.Options{Issuer: url, Audience: url, Bound: bound, ServeStale: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return c, v
}

func signedIn(t *testing.T, auth *cuttable, v *counterfoil.Verifier, carrier counterfoil.Carrier) *counterfoil.Session {
	issued, err := auth.Login(t.Context(), login.Proof{Subject: "alice", Methods: []string{"pwd"}, At: time.Now()}, issuer.Request{Carrier: carrier})
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Verify(t.Context(), issued.Access.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// GW-13: while the gateway hears nothing from the auth server, the policy of the route says how long an open
// connection goes on. What has ended in that time ends as soon as the gateway hears of it.
func TestOpenConnectionsOnStaleKnowledge(t *testing.T) {
	const bound, beyond = 10 * time.Second, 20 * time.Second
	policies := map[string]counterfoil.StalePolicy{
		"https://closed.example": counterfoil.FailClosed(), "https://default.example": {},
		"https://asks.example": counterfoil.Introspect(), "https://serves.example": counterfoil.ServeStale(beyond),
	}
	var routes []gateway.Route
	for origin, policy := range policies {
		routes = append(routes, gateway.Route{Origin: origin, Prefix: "/", Stale: policy})
	}
	for _, c := range []struct {
		name, origin string
		begins       time.Duration // after the log was cut off
		heals        time.Duration // the log can be read again; 0: never
		revoked      bool          // in between
		from, to     time.Duration // when it ends; 0: it does not
		want         error
	}{
		{"default", "https://default.example", 0, 0, false, bound - time.Second*4, bound + time.Second, counterfoil.ErrStale},
		{"fail_closed", "https://closed.example", 0, 0, false, bound - time.Second*4, bound + time.Second, counterfoil.ErrStale},
		{"fail_closed, a short cut", "https://closed.example", 0, 2 * time.Second, false, 0, 0, nil},
		{"introspect, opened before", "https://asks.example", 0, 0, false, bound - time.Second*4, bound + time.Second, counterfoil.ErrStale},
		{"introspect, opened on stale knowledge", "https://asks.example", time.Minute, 0, false, time.Minute + bound, time.Minute + bound + time.Second, counterfoil.ErrStale},
		{"serve_stale", "https://serves.example", 0, 0, false, bound + beyond - 4*time.Second, bound + beyond + time.Second, counterfoil.ErrStale},
		{"serve_stale, opened on stale knowledge", "https://serves.example", 20 * time.Second, 0, false, bound + beyond - 4*time.Second, bound + beyond + time.Second, counterfoil.ErrStale},
		{"serve_stale, a longer cut", "https://serves.example", 0, 20 * time.Second, false, 0, 0, nil},
		{"serve_stale, a longer cut, revoked", "https://serves.example", 0, 20 * time.Second, true, 20 * time.Second, 24 * time.Second, counterfoil.ErrRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				auth, v := openAuth(t, bound)
				g, err := gateway.New(gateway.Options{Verifier: v, Routes: routes})
				if err != nil {
					t.Fatal(err)
				}
				s := signedIn(t, auth, v, counterfoil.CarrierCookie)
				auth.cut.Store(true)
				begun, ended := time.Now(), make(chan error, 2)
				time.Sleep(c.begins)
				release := g.Follow(c.origin, s, nil, func(cause error) { ended <- cause })
				defer release()
				if c.heals > 0 {
					time.Sleep(c.heals - c.begins)
					if c.revoked {
						if _, err := auth.Revoke(t.Context(), source.ScopeSession, s.ID, audit.Act{}); err != nil {
							t.Fatal(err)
						}
					}
					auth.cut.Store(false)
				}
				select {
				case cause := <-ended:
					if took := time.Since(begun); c.to == 0 || !errors.Is(cause, c.want) || took < c.from || took > c.to {
						t.Errorf("ended after %v: %v; want %v between %v and %v", took, cause, c.want, c.from, c.to)
					}
				case <-time.After(2 * time.Minute):
					if c.to > 0 {
						t.Errorf("it did not end, want %v", c.want)
					}
				}
				if release(); v.Status().Watched != 0 {
					t.Errorf("%d are watched after the end", v.Status().Watched)
				}
			})
		})
	}
}

// GW-13: the copy of an opaque session that a check made ends after minutes, and what the check opened goes on
// until the session ends. While the auth server cannot be asked, it goes on for the bound.
func TestOpenConnectionsOutliveACopy(t *testing.T) {
	const bound = 10 * time.Second
	for _, c := range []struct {
		name    string
		carrier counterfoil.Carrier
		answer  func(s *counterfoil.Session, asked time.Duration) error // of each check
		from    time.Duration                                           // how long after the end of the copy it ends, at least
		want    error
	}{
		{"cookie", counterfoil.CarrierCookie, func(*counterfoil.Session, time.Duration) error { return nil }, 0, nil},
		{"cookie, ended", counterfoil.CarrierCookie, func(*counterfoil.Session, time.Duration) error { return counterfoil.ErrInvalidToken }, 0, counterfoil.ErrInvalidToken},
		{"cookie, no answer for some time", counterfoil.CarrierCookie, func(_ *counterfoil.Session, asked time.Duration) error {
			if asked < 5*time.Second {
				return counterfoil.ErrUnavailable
			}
			return nil
		}, 0, nil},
		{"cookie, no answer", counterfoil.CarrierCookie, func(*counterfoil.Session, time.Duration) error { return counterfoil.ErrUnavailable }, bound, counterfoil.ErrUnavailable},
		{"cookie, no newer copy", counterfoil.CarrierCookie, func(s *counterfoil.Session, _ time.Duration) error { s.Expires = time.Time{}; return nil }, 0, counterfoil.ErrExpired},
		{"token", counterfoil.CarrierBearer, func(*counterfoil.Session, time.Duration) error { return nil }, 0, counterfoil.ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				auth, v := openAuth(t, bound)
				g, err := gateway.New(gateway.Options{Verifier: v, Routes: []gateway.Route{{Origin: app, Prefix: "/"}}})
				if err != nil {
					t.Fatal(err)
				}
				s := signedIn(t, auth, v, c.carrier)
				asked, ended := time.Time{}, make(chan error, 2)
				check := func() (*counterfoil.Session, error) {
					if asked.IsZero() {
						asked = time.Now()
					}
					next := *s
					next.Expires = time.Now().Add(5 * time.Minute)
					if err := c.answer(&next, time.Since(asked)); err != nil {
						return nil, err
					}
					return &next, nil
				}
				release := g.Follow(app, s, check, func(cause error) { ended <- cause })
				defer release()
				select {
				case cause := <-ended:
					if late := time.Since(s.Expires); c.want == nil || !errors.Is(cause, c.want) || late < c.from || late > c.from+time.Minute {
						t.Errorf("ended %v after its copy: %v; want %v", late, cause, c.want)
					}
				case <-time.After(time.Hour):
					if c.want != nil {
						t.Errorf("it did not end, want %v", c.want)
					}
				}
			})
		})
	}
}
