package counterfoil_test

import (
	"context"
	"encoding/base64"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// wall is a clock that can be set, with a monotonic one that cannot.
type wall struct{ offset atomic.Int64 }

func (w *wall) now() time.Time { return time.Now().Round(0).Add(time.Duration(w.offset.Load())) }

// REV-06: a machine that was asleep is stale when it wakes, although neither the
// monotonic nor the wall clock noticed.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		begun := time.Now()
		var asleep atomic.Int64
		v, err := counterfoil.NewVerifierWithBoot(t.Context(), s, counterfoil.Options{Issuer: issuerURL, Audience: issuerURL, Logger: quiet},
			func() time.Duration { return time.Since(begun) + time.Duration(asleep.Load()) })
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		time.Sleep(3 * time.Second)
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		asleep.Store(int64(time.Minute))
		time.Sleep(time.Millisecond)
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("after a minute of sleep: %v, want ErrStale", err)
		}
		s.set(func() { s.down = nil })
		time.Sleep(10 * time.Second)
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Errorf("after the next answer: %v", err)
		}
	})
}

// REV-18: a JWE may have been looked up, also by a verifier that has keys, and then its copy
// ends when the issuer said.
func TestWatchOfAJWEHasNoLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{DecryptionKeys: []counterfoil.DecryptionKey{{ID: "e1", Direct: make([]byte, 32)}}})
		defer v.Close()
		begun := time.Now()
		ctx, stop := v.Watch(t.Context(), &counterfoil.Session{
			ID: "ses_1", Subject: "alice", Carrier: counterfoil.CarrierJWE, Born: s.head, Expires: begun.Add(time.Minute),
		})
		defer stop()
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, counterfoil.ErrExpired) || time.Since(begun) > time.Minute+10*time.Millisecond {
			t.Errorf("ended by %v after %v", cause, time.Since(begun))
		}
	})
}

// REV-18, KEY-12: a JWE may have been opened here, and then it rests on the keys of the issuer.
func TestWatchOfAJWEOnOldKeys(t *testing.T) {
	for name, own := range map[string][]counterfoil.DecryptionKey{
		"opened here": {{ID: "e1", Direct: make([]byte, 32)}},
		"looked up":   nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(t)
			v := follow(t, s, counterfoil.Options{DecryptionKeys: own, MaxKeysAge: 2 * time.Hour})
			defer v.Close()
			s.set(func() { s.jwks = func([]byte) ([]byte, error) { return nil, counterfoil.ErrUnavailable } })
			time.Sleep(3 * time.Hour)
			ctx, stop := v.Watch(t.Context(), &counterfoil.Session{
				ID: "ses_1", Subject: "alice", Carrier: counterfoil.CarrierJWE, Born: s.head, Expires: time.Now().Add(time.Minute),
			})
			defer stop()
			if ended := errors.Is(context.Cause(ctx), counterfoil.ErrStale); ended != (own != nil) {
				t.Errorf("%s: ended by %v", name, context.Cause(ctx))
			}
		})
	}
}

// REV-18: a watched connection ends by a timer when its copy expires, or when
// knowledge goes stale, and with the verifier.
func TestWatchEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*scripted, *counterfoil.Verifier)
		wait time.Duration
		want error
	}{
		{"expiry", func(*scripted, *counterfoil.Verifier) {}, 5*time.Minute + 30*time.Second, counterfoil.ErrExpired},
		{"stale", func(s *scripted, _ *counterfoil.Verifier) { s.set(func() { s.down = counterfoil.ErrUnavailable }) }, 10 * time.Second, counterfoil.ErrStale},
		{"revoked", func(s *scripted, _ *counterfoil.Verifier) { s.revoke(source.ScopeSubject, "alice") }, 0, counterfoil.ErrRevoked},
		{"claims", func(s *scripted, _ *counterfoil.Verifier) { s.revoke(source.ScopeClaims, "alice") }, 0, counterfoil.ErrStaleClaims},
		{"closed", func(_ *scripted, v *counterfoil.Verifier) { v.Close() }, 0, counterfoil.ErrStale},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(t)
			v := follow(t, s, counterfoil.Options{})
			defer v.Close()
			session, err := v.Verify(t.Context(), s.sign(t, "at+jwt", claims()))
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := v.Watch(t.Context(), session)
			defer stop()
			c.do(s, v)
			begun := time.Now()
			if c.wait > 2*time.Second {
				time.Sleep(c.wait - 2*time.Second)
				if ctx.Err() != nil {
					t.Errorf("%s: it ended early, by %v", c.name, context.Cause(ctx))
				}
			}
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, c.want) || time.Since(begun) > c.wait+10*time.Millisecond {
				t.Errorf("%s: ended by %v after %v", c.name, cause, time.Since(begun))
			}
			stop()
			if n := v.Status().Watched; n != 0 {
				t.Errorf("%s: %d are watched", c.name, n)
			}
		})
	}
}
