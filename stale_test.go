package counterfoil_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// request carries access by c, and get answers it by the route.
func request(c counterfoil.Carrier, access string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	if c.Transport == counterfoil.Header {
		r.Header.Set("Authorization", "Bearer "+access)
	} else {
		r.Header.Set("Cookie", source.CookieName+"="+access)
	}
	return r
}

// REV-15: three policies x four carriers x a partition, for what was seen before
// and what was not. What an entry covers is refused by each of them.
func TestPolicies(t *testing.T) {
	for _, carrier := range presets {
		synctest.Test(t, func(t *testing.T) {
			auth := &cuttable{Issuer: newIssuer(t)}
			v, err := counterfoil.NewVerifier(t.Context(), auth, counterfoil.Options{
				Issuer: issuerURL, Audience: issuerURL, ServeStale: 20 * time.Second, Logger: quiet,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			closed := v.With(counterfoil.Route{})
			asking := v.With(counterfoil.Route{Stale: counterfoil.Introspect()})
			serving := v.With(counterfoil.Route{Stale: counterfoil.ServeStale(20 * time.Second)})
			seen, unseen, revoked := signIn(t, auth.Issuer, carrier), signIn(t, auth.Issuer, carrier), signIn(t, auth.Issuer, carrier)
			for _, s := range []string{seen.Access.Reveal(), revoked.Access.Reveal()} {
				if got, err := serving.VerifyRequest(request(carrier, s)); err != nil || got.Stale {
					t.Fatalf("while fresh: %+v, %v", got, err)
				}
			}
			if _, err := auth.Issuer.Revoke(t.Context(), source.ScopeSession, revoked.Session.ID, audit.Act{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			auth.cut.Store(true)
			time.Sleep(12 * time.Second)
			late := signIn(t, auth.Issuer, carrier) // ended where the verifier cannot hear it
			if _, err := auth.Issuer.Revoke(t.Context(), source.ScopeSession, late.Session.ID, audit.Act{}); err != nil {
				t.Fatal(err)
			}
			try := func(g *counterfoil.Guard, access string) string {
				s, err := g.VerifyRequest(request(carrier, access))
				switch {
				case err == nil:
					return fmt.Sprintf("good, stale=%v", s.Stale)
				case errors.Is(err, counterfoil.ErrInvalidToken):
					return "invalid"
				case errors.Is(err, counterfoil.ErrStale):
					return "stale"
				}
				return err.Error()
			}
			for _, c := range []struct {
				name   string
				guard  *counterfoil.Guard
				access string
				want   string
			}{
				{"fail closed, seen", closed, seen.Access.Reveal(), "stale"},
				{"fail closed, unseen", closed, unseen.Access.Reveal(), "stale"},
				{"fail closed, revoked", closed, revoked.Access.Reveal(), "invalid"},
				{"introspect, seen", asking, seen.Access.Reveal(), "good, stale=false"},
				{"introspect, unseen", asking, unseen.Access.Reveal(), "good, stale=false"},
				{"introspect, revoked", asking, revoked.Access.Reveal(), "invalid"},
				{"introspect, revoked after the cut", asking, late.Access.Reveal(), "invalid"},
				{"serve stale, seen", serving, seen.Access.Reveal(), "good, stale=true"},
				{"serve stale, unseen", serving, unseen.Access.Reveal(), "good, stale=true"},
				{"serve stale, revoked", serving, revoked.Access.Reveal(), "invalid"},
			} {
				got := try(c.guard, c.access)
				if got != c.want {
					t.Errorf("%v, %s: %s, want %s", carrier, c.name, got, c.want)
				}
			}
			if s, err := v.Verify(t.Context(), seen.Access.Reveal()); carrier.Transport == counterfoil.Header && err == nil {
				t.Errorf("%v: an accepted answer was kept: %+v", carrier, s)
			}
			if st := v.Status(); !st.Stale || !st.ServingStale || st.ServedStale == 0 || st.Introspections == 0 {
				t.Errorf("Status = %+v", st)
			}
			time.Sleep(20 * time.Second) // beyond the cap
			if got := try(serving, seen.Access.Reveal()); got != "stale" {
				t.Errorf("%v, serve stale beyond its cap: %s", carrier, got)
			}
			auth.cut.Store(false)
			time.Sleep(10 * time.Second)
			if got := try(closed, seen.Access.Reveal()); got != "good, stale=false" || v.Status().ServingStale {
				t.Errorf("%v, after the heal: %s", carrier, got)
			}
		})
	}
}

// ServeStale never goes beyond exp, leeway or not.
func TestServeStaleEndsWithExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{ServeStale: time.Minute})
		defer v.Close()
		serving := v.With(counterfoil.Route{Stale: counterfoil.ServeStale(time.Minute)})
		made := claims()
		made.Expires = time.Now().Unix() + 20
		r := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", made))
		if _, err := serving.VerifyRequest(r); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		time.Sleep(19 * time.Second)
		if got, err := serving.VerifyRequest(r); err != nil || !got.Stale {
			t.Errorf("before exp: %v, %v", got, err)
		}
		time.Sleep(time.Second + 41*time.Millisecond) // two thousandths of the time without the issuer
		if _, err := serving.VerifyRequest(r); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("at exp: %v, want ErrStale", err)
		}
	})
}

// What an operator must say by name cannot be had by accident.
func TestServeStaleIsOptIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		for _, o := range []counterfoil.Options{
			{Stale: counterfoil.ServeStale(time.Second), ServeStale: time.Minute},
			{ServeStale: 2 * time.Minute},
			{ServeStale: -1},
		} {
			o.Issuer, o.Audience = issuerURL, issuerURL
			if _, err := counterfoil.NewVerifier(t.Context(), s, o); err == nil {
				t.Errorf("NewVerifier(%+v) = nil error", o)
			}
		}
		var told atomic.Bool
		s.answer = func(f source.Follow, p source.Page) source.Page {
			told.Store(f.ServeStale)
			return p
		}
		v := follow(t, s, counterfoil.Options{})
		if told.Load() {
			t.Error("the issuer was told of a policy that is not allowed")
		}
		for _, r := range []counterfoil.Route{{Stale: counterfoil.ServeStale(time.Second)}, {Formats: []counterfoil.Format{}}} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("With(%+v) does not panic", r)
					}
				}()
				v.With(r)
			}()
		}
		v.Close()
		allowed := follow(t, s, counterfoil.Options{ServeStale: time.Second})
		defer allowed.Close()
		if !told.Load() {
			t.Error("the issuer was not told")
		}
	})
}

// Introspect: one question for all checks of one credential at a time, at most 48 under way
// about credentials that were never good here, at most 500 ms, and never 401 because of an
// outage.
func TestIntrospectBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{Stale: counterfoil.Introspect()})
		defer v.Close()
		ids := make([]string, 100)
		for i := range ids {
			ids[i] = s.opaque(fmt.Sprint("ses_", i))
		}
		s.set(func() {
			s.slow = 100 * time.Millisecond
			s.answer = func(f source.Follow, p source.Page) source.Page {
				p.Upto, p.Entries = p.After, nil // never complete
				return p
			}
			s.head.Seq++
		})
		time.Sleep(11 * time.Second)
		verify := func(n int, pick func(int) string) (good, stale int) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					_, err := v.Verify(t.Context(), pick(i))
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						good++
					case errors.Is(err, counterfoil.ErrStale) && !errors.Is(err, counterfoil.ErrInvalidToken):
						stale++
					default:
						t.Error(err)
					}
				})
			}
			all.Wait()
			return good, stale
		}
		if good, _ := verify(50, func(int) string { return ids[0] }); good != 50 || s.lookups.Load() != 1 {
			t.Errorf("%d of 50 good after %d questions, want 1", good, s.lookups.Load())
		}
		if good, stale := verify(100, func(i int) string { return ids[i] }); good != 48 || stale != 52 {
			t.Errorf("%d good and %d stale, want 48 and 52", good, stale)
		}
		s.set(func() { s.slow = time.Minute })
		begun := time.Now()
		if _, stale := verify(1, func(int) string { return ids[0] }); stale != 1 || time.Since(begun) != 500*time.Millisecond {
			t.Errorf("a slow issuer: %d stale after %v", stale, time.Since(begun))
		}
	})
}

// A flood of made-up ids, which a verifier cannot tell from good ones, keeps out no client that
// was in: neither while the verifier is fresh, nor while it introspects (REV-15).
func TestFloodOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{Stale: counterfoil.Introspect()})
		defer v.Close()
		id := s.opaque("ses_1")
		if _, err := v.Verify(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		flooded := func(f func()) {
			s.set(func() { s.slow = 400 * time.Millisecond })
			var all sync.WaitGroup
			defer all.Wait()
			for range 200 {
				all.Go(func() {
					if _, err := v.Verify(t.Context(), token.NewOpaque()); err == nil {
						t.Error("a made-up id is good")
					}
				})
			}
			synctest.Wait()
			f()
		}
		time.Sleep(10 * time.Minute) // the copy has ended, and is the session's only trace here
		s.set(func() { s.sessions[id].Expires = time.Now().Add(5 * time.Minute) })
		flooded(func() {
			if _, err := v.Verify(t.Context(), s.opaque("ses_2")); !errors.Is(err, counterfoil.ErrUnavailable) {
				t.Errorf("a stranger: %v, want ErrUnavailable", err)
			}
			if _, err := v.Verify(t.Context(), id); err != nil {
				t.Errorf("a client that was in: %v", err)
			}
		})
		s.set(func() {
			s.answer = func(f source.Follow, p source.Page) source.Page {
				p.Upto, p.Entries = p.After, nil // never complete
				return p
			}
			s.head.Seq++
		})
		time.Sleep(11 * time.Second)
		flooded(func() {
			if _, err := v.Verify(t.Context(), id); err != nil {
				t.Errorf("a client that was in, by introspection: %v", err)
			}
		})
	})
}

// REV-15: a verifier that introspects asks about no JWT whose signature is bad, so junk takes
// no room from good ones.
func TestIntrospectAsksAboutGenuineOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{Stale: counterfoil.Introspect()})
		defer v.Close()
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		time.Sleep(11 * time.Second)
		junk := sign(t, newSigner(t, "k1"), "at+jwt", claims())
		if _, err := v.Verify(t.Context(), junk); !errors.Is(err, counterfoil.ErrInvalidToken) || s.lookups.Load() != 0 {
			t.Errorf("a bad signature: %v after %d questions, want ErrInvalidToken after none", err, s.lookups.Load())
		}
		good := s.sign(t, "at+jwt", claims())
		for _, text := range []string{good, sign(t, newSigner(t, "k2"), "at+jwt", claims())} { // k2 may be newer than our keys
			asked := s.lookups.Load()
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrStale) || s.lookups.Load() != asked+1 {
				t.Errorf("while the issuer does not answer: %v after %d questions, want ErrStale after one", err, s.lookups.Load()-asked)
			}
		}
	})
}

// First sight of an opaque id: shape first, then one question each.
func TestLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		for _, junk := range []string{"", "x", "0123456789012345678901234567890123456789012", "a.b.c", "a.b.c.d.e", string(make([]byte, 9000))} {
			if _, err := v.Verify(t.Context(), junk); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%.50q: %v", junk, err)
			}
		}
		if n := s.lookups.Load(); n != 0 {
			t.Errorf("%d look-ups for junk", n)
		}
		s.set(func() { s.down = errors.New("dial tcp: refused") })
		if _, err := v.Verify(t.Context(), s.opaque("ses_9")); !errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("an outage: %v, want ErrUnavailable", err)
		}
	})
}

// REV-11: strict routes, and a client that names a receipt.
func TestMinCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		loose, strict := v.With(counterfoil.Route{}), v.With(counterfoil.Route{Strict: true})
		text := s.sign(t, "at+jwt", claims())
		get := func(g *counterfoil.Guard, access string, min ...string) (int, time.Duration) {
			r := request(counterfoil.CarrierBearer, access)
			r.Header[source.MinCursorHeader] = min
			w := httptest.NewRecorder()
			begun := time.Now()
			g.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			return w.Code, time.Since(begun)
		}
		for _, bad := range [][]string{{""}, {"7"}, {at(1).String() + " "}, {at(1).String(), at(1).String()}, {"0000000000000000.1"}} {
			if code, _ := get(loose, text, bad...); code != 400 {
				t.Errorf("Min-Cursor %q: %d, want 400", bad, code)
			}
		}
		if code, took := get(loose, text, at(1).String()); code != 200 || took != 0 {
			t.Errorf("what is known: %d after %v", code, took)
		}
		if code, took := get(loose, text, at(2).String()); code != 503 || took > 50*time.Millisecond || took == 0 {
			t.Errorf("what is not: %d after %v, want 503 within 50ms", code, took)
		}
		ahead := claims()
		ahead.RV, ahead.ID = at(2).String(), "tok_2"
		if code, _ := get(loose, s.sign(t, "at+jwt", ahead)); code != 200 {
			t.Errorf("born after what is known, a loose route: %d, want 200", code)
		}
		born := s.sign(t, "at+jwt", ahead)
		if code, took := get(strict, born); code != 503 || took > 50*time.Millisecond {
			t.Errorf("a strict route: %d after %v, want 503", code, took)
		}
		s.revoke(source.ScopeSession, "ses_other") // the log reaches 2
		if code, _ := get(strict, born); code != 200 {
			t.Errorf("a strict route that can know: %d, want 200", code)
		}
		if code, _ := get(loose, text, at(2).String()); code != 200 {
			t.Errorf("a receipt that is reached: %d, want 200", code)
		}
		// The receipt of the session's own revocation: its answer is never 200.
		own := s.revoke(source.ScopeSession, "ses_1")
		if code, _ := get(loose, text, own.String()); code != 401 {
			t.Errorf("the receipt of its own end: %d, want 401", code)
		}
	})
}

// hooked is a clock that does something else first, at its n-th reading since n was set.
type hooked struct {
	n atomic.Int64
	f func()
}

func (h *hooked) now() time.Time {
	if h.n.Add(-1) == 0 {
		h.f()
	}
	return time.Now()
}

// P1, P3: an entry may arrive at any moment of a check. The check obeys it before knowledge
// that has it counts as fresh enough (REV-15), or as recent enough (REV-11).
func TestEntryArrivesDuringCheck(t *testing.T) {
	for n := range int64(4) {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(t)
			var clock hooked
			v := follow(t, s, counterfoil.Options{Now: clock.now, ServeStale: 5 * time.Second})
			defer v.Close()
			serving := v.With(counterfoil.Route{Stale: counterfoil.ServeStale(5 * time.Second)})
			first, second := claims(), claims()
			second.SID = "ses_2"
			r, receipt := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", first)), request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", second))
			for _, r := range []*http.Request{r, receipt} {
				if _, err := serving.VerifyRequest(r); err != nil {
					t.Fatal(err)
				}
			}

			receipt.Header.Set(source.MinCursorHeader, at(2).String()) // of its own end
			clock.f = func() {
				s.revoke(source.ScopeSession, "ses_2")
				synctest.Wait()
			}
			clock.n.Store(n + 1)
			if got, err := v.VerifyRequest(receipt); err == nil {
				t.Errorf("REV-11: the receipt of its own end, which is applied at reading %d: %+v", n+1, got)
			}

			s.set(func() { s.down = counterfoil.ErrUnavailable })
			clock.f = func() {
				s.set(func() { s.down = nil })
				s.revoke(source.ScopeSession, "ses_1")
				time.Sleep(4 * time.Second)
			}
			time.Sleep(20 * time.Second) // beyond the cap
			clock.n.Store(n + 1)
			if got, err := serving.VerifyRequest(r); err == nil {
				t.Errorf("REV-15: knowledge is fresh again with its end, at reading %d: %+v", n+1, got)
			}
		})
	}
}

// P3, REV-15: a check that waits for the log, as a client demands, and waits in vain, obeys the
// entries that have arrived meanwhile.
func TestEntryArrivesDuringWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{ServeStale: time.Minute})
		defer v.Close()
		r := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", claims()))
		r.Header.Set(source.MinCursorHeader, at(9).String())
		time.AfterFunc(10*time.Millisecond, func() { s.revoke(source.ScopeSession, "ses_1") })
		got, err := v.With(counterfoil.Route{Stale: counterfoil.ServeStale(time.Minute)}).VerifyRequest(r)
		if !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("VerifyRequest = %+v, %v, want ErrRevoked", got, err)
		}
	})
}

// P3, REV-15: what ended with its log is not served on stale knowledge of the next one:
// that log may have held its end.
func TestServeStaleRefusesAnotherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{ServeStale: time.Minute})
		defer v.Close()
		serving := v.With(counterfoil.Route{Stale: counterfoil.ServeStale(time.Minute)})
		r := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", claims()))
		s.revoke(source.ScopeSession, "ses_1")
		synctest.Wait()
		if _, err := serving.VerifyRequest(r); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Fatalf("while its log is there: %v, want ErrRevoked", err)
		}
		s.set(func() { s.head, s.entries = counterfoil.Cursor{Epoch: 0xfeed, Seq: 1}, nil })
		synctest.Wait()
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		if got, err := serving.VerifyRequest(r); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("VerifyRequest = %+v, %v, want ErrStale", got, err)
		}
	})
}
