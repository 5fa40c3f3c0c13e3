package counterfoil_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

// clocks are those of an issuer and a verifier, by how much each is off.
type clocks struct {
	*scripted
	v          *counterfoil.Verifier
	wall       wall
	issuer     atomic.Int64
	good, gone []string // copies that have not ended, and that were revoked
	begun      time.Time
}

func newClocks(t *testing.T) *clocks {
	c := &clocks{scripted: newScripted(t), begun: time.Now()}
	c.now = func() time.Time { return time.Now().Add(time.Duration(c.issuer.Load())) }
	made := claims()
	made.SID, made.Expires = "ses_gone", made.Expires+300
	c.gone = []string{c.sign(t, "at+jwt", made), c.opaque("ses_gone")}
	made.SID = "ses_good"
	c.good = []string{c.sign(t, "at+jwt", made), c.opaque("ses_good")}
	c.set(func() {
		for _, s := range c.sessions {
			s.Expires = time.Now().Add(10 * time.Minute)
		}
	})
	c.revoke(source.ScopeSession, "ses_gone")
	return c
}

func (c *clocks) start(t *testing.T) {
	t.Helper()
	if c.v != nil {
		c.v.Close()
	}
	begun := time.Now()
	v, err := counterfoil.NewVerifierWithBoot(t.Context(), c, counterfoil.Options{
		Issuer: issuerURL, Audience: issuerURL, Logger: quiet, Now: c.wall.now,
	}, func() time.Duration { return time.Since(begun) })
	if err != nil {
		t.Fatal(err)
	}
	c.v = v
}

// off sets the clocks off by d: "issuer", "verifier" or "both".
func (c *clocks) off(who string, d time.Duration) {
	if who != "issuer" {
		c.wall.offset.Store(int64(d))
	}
	if who != "verifier" {
		c.issuer.Store(int64(d))
	}
}

// watch verifies for a while. It returns how long a good copy was last not accepted, and
// how often one was called expired.
func (c *clocks) watch(t *testing.T, name string, d time.Duration) (until time.Duration, expired int) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < d; time.Sleep(50 * time.Millisecond) {
		for i, text := range c.good {
			_, err := c.v.Verify(t.Context(), text)
			if err != nil {
				until = time.Since(begun)
			}
			switch {
			case errors.Is(err, counterfoil.ErrExpired):
				expired++
			case errors.Is(err, counterfoil.ErrInvalidToken):
				t.Fatalf("%s: a good copy (%d), after %v: %v", name, i, time.Since(begun), err)
			}
		}
		for i, text := range c.gone {
			if s, err := c.v.Verify(t.Context(), text); err == nil {
				t.Fatalf("%s: a revoked copy (%d) is accepted after %v: %+v, %+v", name, i, time.Since(begun), s, c.v.Status())
			}
		}
	}
	return until, expired
}

const twoHeartbeats = 5 * time.Second // of a bound of 10 s

// REV-13, TOK-25: whatever clocks say, running or when the verifier starts, no revoked copy is
// accepted, no good one is called expired, and good ones are accepted two heartbeats after the
// clocks are right.
func TestWrongClocks(t *testing.T) {
	for _, who := range []string{"verifier", "issuer", "both"} {
		for _, d := range []time.Duration{time.Second, 45 * time.Second, 10 * time.Minute, 24 * time.Hour} {
			for _, d := range []time.Duration{d, -d} {
				for _, restarted := range []bool{false, true} {
					name := fmt.Sprintf("%s %v, restarted %v", who, d, restarted)
					synctest.Test(t, func(t *testing.T) {
						c := newClocks(t)
						c.start(t)
						defer func() { c.v.Close() }()
						if until, _ := c.watch(t, name, 5*time.Second); until > 0 {
							t.Errorf("%s: before it: not accepted until %v", name, until)
						}
						c.off(who, d)
						if restarted {
							c.start(t)
						}
						until, expired := c.watch(t, name, 30*time.Second) // drops and sweeps come every 10 s
						// A verifier that starts when all clocks say the same wrong time knows no better.
						known := !restarted || who != "both"
						if known && expired > 0 {
							t.Errorf("%s: %d good copies were called expired", name, expired)
						}
						if alone := who == "verifier"; alone && until > twoHeartbeats {
							t.Errorf("%s: good copies were refused for %v", name, until)
						}
						c.off(who, 0)
						until, expired = c.watch(t, name+", then right", 30*time.Second)
						if until > twoHeartbeats || known && expired > 0 {
							t.Errorf("%s: good copies came back %v after the clocks were right; %d were called expired", name, until, expired)
						}
						if st := c.v.Status(); st.Doubt != 0 && !(restarted && who == "both" && d < 0) || st.Skew != 0 || st.SkewAlarm {
							t.Errorf("%s: in the end: doubt %v, skew %v", name, st.Doubt, st.Skew)
						}
					})
				}
			}
		}
	}
}

// P3, REV-13: a verifier that has dropped entries by a time that was wrong does not accept what
// they cover when the time is right: it reads the log again before. The pages of the log may
// be many, and may come from elsewhere in between.
func TestSetBackReadsTheLogAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocks(t)
		c.off("both", 24*time.Hour)
		c.start(t)
		defer c.v.Close()
		time.Sleep(15 * time.Second)
		if n := c.v.Status().Entries; n != 0 {
			t.Fatalf("%d entries are held a day after their end", n)
		}
		var fromZero atomic.Int64
		c.set(func() {
			c.answer = func(f source.Follow, p source.Page) source.Page {
				if f.After == (counterfoil.Cursor{}) {
					fromZero.Add(1)
				}
				if f.Wait > 0 || fromZero.Load() > 3 {
					return p
				}
				p.Upto, p.Entries = at(f.After.Seq+1), nil // one entry at a time
				for _, e := range c.entries {
					if e.At == p.Upto {
						p.Entries = []source.Revocation{e}
					}
				}
				return p
			}
		})
		c.off("both", 0)
		if until, _ := c.watch(t, "then right", 20*time.Second); until == 0 || until > twoHeartbeats {
			t.Errorf("good copies came back after %v", until)
		}
		if st := c.v.Status(); st.Entries != 1 || fromZero.Load() != 1 || st.Gaps != 0 {
			t.Errorf("%d entries after %d readings from zero, %d gaps: want 1, 1, 0", st.Entries, fromZero.Load(), st.Gaps)
		}
		for _, text := range c.gone {
			if _, err := c.v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
				t.Errorf("what an entry covers that was dropped: %v, want ErrRevoked", err)
			}
		}
	})
}

// A time that was only ever in doubt has dropped nothing, so nothing is read again.
func TestDoubtAloneReadsNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocks(t)
		c.start(t)
		defer c.v.Close()
		var fromZero atomic.Int64
		c.set(func() {
			c.answer = func(f source.Follow, p source.Page) source.Page {
				if f.After == (counterfoil.Cursor{}) {
					fromZero.Add(1)
				}
				return p
			}
		})
		c.off("issuer", 24*time.Hour)
		c.watch(t, "ahead", 30*time.Second)
		if st := c.v.Status(); st.Doubt.Round(time.Minute) != 24*time.Hour || st.Skew.Round(time.Second) != 24*time.Hour || !st.SkewAlarm {
			t.Errorf("doubt %v, skew %v, alarm %v", st.Doubt, st.Skew, st.SkewAlarm)
		}
		c.off("issuer", 0)
		c.watch(t, "right", 10*time.Second)
		if n := fromZero.Load(); n != 0 || c.v.Status().Doubt != 0 {
			t.Errorf("%d readings from zero, doubt %v", n, c.v.Status().Doubt)
		}
	})
}

// Nodes that contradict each other page by page call no good copy expired, and the verifier
// knows the time within two heartbeats after they agree.
func TestNodesContradictEachOther(t *testing.T) {
	for _, d := range []time.Duration{45 * time.Second, -45 * time.Second, 24 * time.Hour, -24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := newClocks(t)
			var wrong atomic.Bool
			wrong.Store(true)
			n := 0
			c.now = func() time.Time {
				if n++; n%3 == 0 && wrong.Load() {
					return time.Now().Add(d)
				}
				return time.Now()
			}
			c.start(t)
			defer c.v.Close()
			if _, expired := c.watch(t, d.String(), time.Minute); expired > 0 {
				t.Errorf("%v: %d good copies were called expired", d, expired)
			}
			wrong.Store(false)
			if until, _ := c.watch(t, d.String(), 20*time.Second); until > twoHeartbeats || c.v.Status().Doubt != 0 {
				t.Errorf("%v: good copies came back after %v, doubt %v", d, until, c.v.Status().Doubt)
			}
		})
	}
}

// A time that pages go on saying is believed at last: when whatever was made before has ended
// by either time.
func TestStepAheadIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocks(t)
		c.start(t)
		defer c.v.Close()
		c.off("issuer", time.Hour)
		time.Sleep(5 * time.Minute)
		late := claims()
		late.IssuedAt += 3600
		late.Expires += 3600
		made := c.sign(t, "at+jwt", late)
		if _, err := c.v.Verify(t.Context(), made); err != nil {
			t.Errorf("a copy that is dated by the new time: %v", err)
		}
		if _, err := c.v.Verify(t.Context(), c.good[0]); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("in doubt: %v, want ErrStale", err)
		}
		time.Sleep(7 * time.Minute) // beyond its end by the new time, and by the old
		if _, err := c.v.Verify(t.Context(), c.good[0]); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("when it has ended by either time: %v, want ErrExpired", err)
		}
		if _, err := c.v.Verify(t.Context(), made); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("when it has ended by the new time: %v, want ErrStale", err)
		}
		time.Sleep(4 * time.Minute)
		if _, err := c.v.Verify(t.Context(), made); !errors.Is(err, counterfoil.ErrExpired) || c.v.Status().Doubt != 0 {
			t.Errorf("when the new time is believed: %v, doubt %v", err, c.v.Status().Doubt)
		}
	})
}

// A copy that was looked up while the issuer's clock was ahead ends too late by far. It is
// looked up anew when the clock is right.
func TestSetBackLooksUpAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocks(t)
		c.off("both", 24*time.Hour)
		c.start(t)
		defer c.v.Close()
		id := c.opaque("ses_1")
		c.set(func() { c.sessions[id].Expires = time.Now().Add(24*time.Hour + 5*time.Minute) })
		for range 2 {
			if _, err := c.v.Verify(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		c.off("both", 0)
		time.Sleep(twoHeartbeats)
		c.set(func() { delete(c.sessions, id) })
		if _, err := c.v.Verify(t.Context(), id); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("when its session has ended: %v, want the issuer's answer", err)
		}
	})
}

// A copy of which nobody knows whether it has ended is let through by no policy.
func TestDoubtIsServedByNoPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		var ahead atomic.Int64
		s.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		v := follow(t, s, counterfoil.Options{ServeStale: time.Minute})
		defer v.Close()
		id, access := s.opaque("ses_1"), s.sign(t, "at+jwt", claims())
		s.set(func() { s.sessions[access] = s.sessions[id] })
		copies := []*http.Request{request(counterfoil.CarrierCookie, id), request(counterfoil.CarrierBearer, access)}
		policies := []counterfoil.StalePolicy{counterfoil.FailClosed(), counterfoil.Introspect(), counterfoil.ServeStale(time.Minute)}
		for _, want := range []error{nil, counterfoil.ErrStale} {
			for _, policy := range policies {
				for _, r := range copies {
					if _, err := v.With(counterfoil.Route{Stale: policy}).VerifyRequest(r); !errors.Is(err, want) {
						t.Errorf("%v, doubt of %v: %v, want %v", policy, v.Status().Doubt, err, want)
					}
				}
			}
			ahead.Store(int64(10 * time.Minute)) // the copies end in five
			time.Sleep(10 * time.Second)
		}
	})
}

// REV-15: no cookie is deleted because of a clock: neither one that ends in doubt, nor one that
// the issuer calls good in an answer that has expired by what its pages say.
func TestClocksDeleteNoCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocks(t)
		c.start(t)
		defer c.v.Close()
		ended, fresh := c.opaque("ses_ended"), c.opaque("ses_fresh")
		c.set(func() { c.sessions[ended].Expires = time.Now().Add(-time.Minute) })
		answer := func(access string, rules ...counterfoil.Rule) (int, string) {
			w := httptest.NewRecorder()
			c.v.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), rules...).
				ServeHTTP(w, request(counterfoil.CarrierJWTCookie, access))
			return w.Code, w.Header().Get("Set-Cookie")
		}
		if code, set := answer(ended); code != 503 || set != "" {
			t.Errorf("good, and expired: %d, sets %q, want 503 and the cookie kept", code, set)
		}
		if code, set := answer(c.gone[1]); code != 401 || set == "" {
			t.Errorf("revoked: %d, sets %q, want 401 and no cookie", code, set)
		}
		if code, set := answer(fresh, counterfoil.Fresh(15*time.Minute)); code != 200 || set != "" {
			t.Errorf("a fresh login: %d, sets %q", code, set)
		}
		c.off("issuer", time.Hour)
		time.Sleep(2 * time.Second)
		for _, access := range c.good {
			if code, set := answer(access); code != 503 || set != "" {
				t.Errorf("in doubt: %d, sets %q, want 503 and the cookie kept", code, set)
			}
		}
		c.set(func() { c.sessions[fresh].Expires = time.Now().Add(2 * time.Hour) })
		time.Sleep(5 * time.Minute)
		if code, set := answer(fresh, counterfoil.Fresh(15*time.Minute)); code != 503 || set != "" {
			t.Errorf("a login that is fresh by one time alone: %d, sets %q, want 503", code, set)
		}
		if code, _ := answer(fresh, counterfoil.Fresh(time.Minute)); code != 401 {
			t.Errorf("a login that is fresh by no time: %d, want 401", code)
		}
		if code, _ := answer(fresh, counterfoil.Fresh(2*time.Hour)); code != 200 {
			t.Errorf("a login that is fresh by any time: %d, want 200", code)
		}
	})
}

// The clocks of two machines differ in rate. However long they do, that contradicts nothing.
func TestRates(t *testing.T) {
	for _, rate := range []float64{0.999, 1.001} {
		synctest.Test(t, func(t *testing.T) {
			c := newClocks(t)
			c.now = func() time.Time { return c.begun.Add(time.Duration(float64(time.Since(c.begun)) * rate)) }
			c.start(t)
			defer c.v.Close()
			for range 24 {
				time.Sleep(time.Hour)
				made := &token.Claims{}
				*made = *claims()
				made.IssuedAt, made.Expires = c.now().Unix(), c.now().Unix()+300
				if _, err := c.v.Verify(t.Context(), c.sign(t, "at+jwt", made)); err != nil || c.v.Status().Doubt != 0 {
					t.Fatalf("rate %v, after %v: %v, doubt %v", rate, time.Since(c.begun), err, c.v.Status().Doubt)
				}
			}
			c.set(func() { c.down = counterfoil.ErrUnavailable })
			time.Sleep(time.Hour)
			c.set(func() { c.down = nil })
			for range 200 { // a doubt would be over after half a heartbeat
				time.Sleep(50 * time.Millisecond)
				if doubt := c.v.Status().Doubt; doubt != 0 {
					t.Fatalf("rate %v, after an hour without pages: doubt %v", rate, doubt)
				}
			}
			if c.v.Status().Stale {
				t.Errorf("rate %v: no page has come since", rate)
			}
		})
	}
}

// A source that tells no time: the wall clock at the start and what has elapsed say it.
func TestNoTimeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClocks(t)
		c.now = func() time.Time { return time.Time{} }
		c.start(t)
		defer c.v.Close()
		for _, d := range []time.Duration{time.Hour, -time.Hour, 0} {
			c.off("verifier", d)
			time.Sleep(5 * time.Second)
			if until, expired := c.watch(t, d.String(), 10*time.Second); until > 0 || expired > 0 {
				t.Errorf("%v: refused until %v, called expired %d times", d, until, expired)
			}
		}
		time.Sleep(15 * time.Minute)
		if _, err := c.v.Verify(t.Context(), c.good[0]); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("in the end: %v, want ErrExpired", err)
		}
	})
}

// Where no clock counts while the machine sleeps, what has expired in its sleep has expired.
func TestSleepThatNoClockCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		var clock wall
		s.now = clock.now
		v, err := counterfoil.NewVerifierWithBoot(t.Context(), s, counterfoil.Options{Issuer: issuerURL, Audience: issuerURL, Logger: quiet, Now: clock.now}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		clock.offset.Store(int64(time.Hour)) // that long it slept
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("when it wakes: %v, want ErrStale", err)
		}
		time.Sleep(twoHeartbeats)
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrExpired) {
			t.Errorf("after the next page: %v, want ErrExpired", err)
		}
	})
}

// A watched copy ends although the issuer's time goes slower than the timer for its end.
func TestWatchEndsByTheIssuersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{Bound: time.Minute})
		defer v.Close()
		seen, err := v.Verify(t.Context(), s.opaque("ses_1"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(seen.Expires) - 20*time.Second)
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		ctx, stop := v.Watch(t.Context(), seen)
		defer stop()
		time.Sleep(20 * time.Second)
		if ctx.Err() != nil {
			t.Errorf("before its end: %v", context.Cause(ctx))
		}
		time.Sleep(time.Second)
		if !errors.Is(context.Cause(ctx), counterfoil.ErrExpired) {
			t.Errorf("at its end: %v, want ErrExpired", context.Cause(ctx))
		}
	})
}
