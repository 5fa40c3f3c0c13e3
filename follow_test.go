package counterfoil_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// REV-08, REV-10: a page that does not follow is not applied and proves nothing,
// and everything is read again; no good token is refused meanwhile.
func TestForgedPages(t *testing.T) {
	for name, forge := range map[string]func(source.Follow, source.Page) source.Page{
		"gap": func(f source.Follow, p source.Page) source.Page {
			p.After.Seq += 3
			p.Upto.Seq, p.Head.Seq = p.Upto.Seq+5, p.Head.Seq+5
			return p
		},
		"forged after": func(f source.Follow, p source.Page) source.Page {
			p.After.Seq--
			return p
		},
		"other epoch inside": func(f source.Follow, p source.Page) source.Page {
			p.Head.Epoch = 7
			return p
		},
		"no epoch": func(f source.Follow, p source.Page) source.Page {
			return source.Page{Time: p.Time}
		},
		"head before its end": func(f source.Follow, p source.Page) source.Page {
			p.Upto.Seq++
			return p
		},
		"backwards": func(f source.Follow, p source.Page) source.Page {
			p.Upto.Seq = 0
			return p
		},
		"entry beyond its end": func(f source.Follow, p source.Page) source.Page {
			p.Entries = []source.Revocation{{At: at(p.Upto.Seq + 1), Scope: source.ScopeAll}}
			return p
		},
		"entry from before": func(f source.Follow, p source.Page) source.Page {
			p.Entries = []source.Revocation{{At: p.After, Scope: source.ScopeAll}}
			return p
		},
		"entry of another epoch": func(f source.Follow, p source.Page) source.Page {
			p.Entries = []source.Revocation{{At: counterfoil.Cursor{Epoch: 7, Seq: p.Upto.Seq}, Scope: source.ScopeAll}}
			return p
		},
		"no progress": func(f source.Follow, p source.Page) source.Page {
			p.Head.Seq++
			return p
		},
		"a time that no clock has": func(f source.Follow, p source.Page) source.Page {
			p.Time = p.Time.AddDate(1000, 0, 0)
			return p
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(t)
			s.head = at(10)
			v := follow(t, s, counterfoil.Options{})
			defer v.Close()
			text := s.sign(t, "at+jwt", claims())
			s.set(func() {
				s.answer = func(f source.Follow, p source.Page) source.Page {
					if f.After == (counterfoil.Cursor{}) && name != "no epoch" {
						p.After.Seq = 0 // a reading from zero is forged as well
					}
					return forge(f, p)
				}
			})
			time.Sleep(5 * time.Second)
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Errorf("%s: within the bound: %v", name, err)
			}
			time.Sleep(7 * time.Second)
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrStale) || errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%s: beyond the bound: %v, want ErrStale", name, err)
			}
			s.set(func() { s.answer = nil })
			time.Sleep(12 * time.Second)
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Errorf("%s: after it: %v", name, err)
			}
		})
	}
}

// A single gap heals by reading from zero, and loses nothing that was applied.
func TestGapHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		s.set(func() {
			s.answer = func(f source.Follow, p source.Page) source.Page {
				if f.After != (counterfoil.Cursor{}) && len(p.Entries) > 0 {
					p.After, p.Entries = p.Upto, nil // it swallows the entry
				}
				return p
			}
		})
		s.revoke(source.ScopeSession, "ses_1")
		time.Sleep(time.Second)
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("Verify = %v, want ErrRevoked", err)
		}
		if st := v.Status(); st.Gaps != 1 || st.Entries != 1 || st.Stale {
			t.Errorf("Status = %+v", st)
		}
	})
}

// Duplicates change nothing; a scope from the future covers everything.
func TestOddPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		s.set(func() {
			s.answer = func(f source.Follow, p source.Page) source.Page {
				p.Entries = append(p.Entries, p.Entries...)
				return p
			}
		})
		s.revoke(source.ScopeSession, "ses_2")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), text); err != nil || v.Status().Entries != 1 {
			t.Errorf("Verify = %v with %d entries, want 1", err, v.Status().Entries)
		}
		s.revoke("galaxy", "x")
		synctest.Wait()
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("Verify = %v, want ErrRevoked", err)
		}
	})
}

// 4.6, REV-09: nothing born under a log that was lost is accepted, what is born
// under its successor is, in the same instant; and a looked-up session that is
// still there is looked up anew instead of signing its user out.
func TestNewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		old, id := s.sign(t, "at+jwt", claims()), s.opaque("ses_2")
		for _, c := range []string{old, id} {
			if _, err := v.Verify(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		next := counterfoil.Cursor{Epoch: 0xfeed, Seq: 1}
		s.mu.Lock() // without a wakeup: the follower waits at the old head
		s.head, s.sessions[id].Born = next, next
		s.mu.Unlock()
		c := claims()
		c.RV = next.String()
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", c)); err != nil {
			t.Errorf("the first copy of a new log: %v", err)
		}
		if _, err := v.Verify(t.Context(), old); !errors.Is(err, counterfoil.ErrInvalidToken) || errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("a copy of the lost log: %v, want ErrInvalidToken", err)
		}
		if _, err := v.Verify(t.Context(), id); err != nil {
			t.Errorf("a looked-up session: %v", err)
		}
		asked := s.logs.Load()
		for range 100 {
			if _, err := v.Verify(t.Context(), old); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Fatal(err)
			}
		}
		if n := s.logs.Load() - asked; n > 1 {
			t.Errorf("100 copies of a lost log made %d questions", n)
		}
		if v.Status().Epochs != 1 {
			t.Errorf("Status().Epochs = %d, want 1", v.Status().Epochs)
		}
	})
}

// REV-14: at the cap nothing is evicted: the verifier goes stale, and comes back
// when entries have expired.
func TestMaxEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{MaxEntries: 3})
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		for _, sid := range []string{"ses_1", "ses_2", "ses_3", "ses_4", "ses_5"} {
			s.revoke(source.ScopeSession, sid)
			synctest.Wait()
		}
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("the first entry: %v, want ErrRevoked", err)
		}
		time.Sleep(11 * time.Second)
		c := claims()
		c.SID = "ses_6"
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", c)); !errors.Is(err, counterfoil.ErrStale) || !v.Status().Full {
			t.Errorf("at the cap: %v, full=%v, want ErrStale", err, v.Status().Full)
		}
		s.set(func() { s.entries = s.entries[3:] }) // the issuer's log drops what has expired, too
		time.Sleep(18 * time.Minute)
		c = claims()
		c.SID = "ses_6"
		if _, err := v.Verify(t.Context(), s.sign(t, "at+jwt", c)); err != nil || v.Status().Full {
			t.Errorf("when entries have expired: %v, full=%v", err, v.Status().Full)
		}
	})
}

// REV-08: a log that comes back is read from its beginning, although the cursor is still
// where it was left: of another log no page had counted, and the index began anew.
func TestEpochComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{MaxEntries: 1})
		defer v.Close()
		text := s.sign(t, "at+jwt", claims())
		s.revoke(source.ScopeSession, "ses_1")
		synctest.Wait()
		left, entries := s.head, s.entries
		other := counterfoil.Cursor{Epoch: 0xfeed, Seq: 2}
		s.set(func() {
			s.head = other
			s.entries = []source.Revocation{
				{At: counterfoil.Cursor{Epoch: 0xfeed, Seq: 1}, Scope: source.ScopeSession, ID: "ses_2", Expires: time.Now().Add(time.Hour)},
				{At: other, Scope: source.ScopeSession, ID: "ses_3", Expires: time.Now().Add(time.Hour)},
			}
		})
		synctest.Wait()
		s.set(func() { s.head, s.entries = left, entries })
		time.Sleep(5 * time.Second)
		if got, err := v.Verify(t.Context(), text); !errors.Is(err, counterfoil.ErrRevoked) {
			t.Errorf("Verify = %+v, %v, want ErrRevoked", got, err)
		}
	})
}
