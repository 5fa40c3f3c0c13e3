package counterfoil_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

var hammerRounds = flag.Int("hammer.rounds", 300, "revocations of TestHammer")

// copied is one credential of TestHammer.
type copied struct {
	text             string
	session, subject string
	late             bool        // born after all revocations: never covered
	covered          atomic.Bool // what covers it has been applied
	refused          atomic.Bool // a check said so
}

// P1, P2 and P3 for a cache that is too small, so that copies come and go while they
// are looked for, judged and revoked. A check that starts after an entry was applied accepts
// no copy that it covers; no copy is refused without reason; and refused stays refused.
func TestHammer(t *testing.T) {
	const perRound = 3
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{MaxSeen: 64})
	defer v.Close()
	all := make([]*copied, 0, perRound**hammerRounds)
	born := counterfoil.Cursor{Epoch: epoch, Seq: 1 << 40}
	s.set(func() {
		for n := range cap(all) {
			c := &copied{text: token.NewOpaque(), session: fmt.Sprint("ses_", n), subject: fmt.Sprint("usr_", n/perRound), late: n%perRound == 2}
			session := &counterfoil.Session{
				ID: c.session, Issuer: issuerURL, Subject: c.subject, Client: "web", Audience: []string{issuerURL},
				TokenID: "tok_" + c.session, AuthTime: time.Now(), IssuedAt: time.Now(), Expires: time.Now().Add(time.Hour), Born: s.head,
			}
			if c.late {
				session.Born = born
			}
			s.sessions[c.text] = session
			all = append(all, c)
		}
	})
	var round atomic.Int64
	var stop atomic.Bool
	var checkers sync.WaitGroup
	for range 8 {
		checkers.Go(func() {
			for !stop.Load() {
				// Around what is being revoked now, so that most are in the cache.
				n := int(round.Load())*perRound + rand.IntN(8*perRound) - 2*perRound
				c := all[min(max(n, 0), len(all)-1)]
				covered, refused := c.covered.Load(), c.refused.Load()
				_, err := v.Verify(t.Context(), c.text)
				switch {
				case errors.Is(err, counterfoil.ErrRevoked) || errors.Is(err, counterfoil.ErrStaleClaims):
					c.refused.Store(true)
					if c.late {
						t.Errorf("%s was refused, born after all: %v", c.session, err)
					}
				case err != nil:
					t.Errorf("%s: %v", c.session, err)
				case covered:
					t.Errorf("%s was accepted after its revocation was applied (P1)", c.session)
				case refused:
					t.Errorf("%s was accepted after it was refused (P3)", c.session)
				}
			}
		})
	}
	for n := range *hammerRounds {
		round.Store(int64(n))
		mine := all[n*perRound : (n+1)*perRound]
		var head counterfoil.Cursor
		covers := mine[:2]
		switch n % 7 {
		case 0:
			head, covers = s.revoke(source.ScopeSession, mine[0].session), mine[:1]
		case 1:
			head, covers = s.revoke(source.ScopeToken, "tok_"+mine[1].session), mine[1:2]
		case 2, 3:
			head = s.revoke(source.ScopeSubject, mine[0].subject)
		case 4:
			head = s.revoke(source.ScopeClaims, mine[0].subject)
		case 5:
			s.revoke(source.ScopeGrant, mine[1].session+" another")
			head, covers = s.revoke(source.ScopeGrant, mine[0].session+" web"), mine[:1]
		case 6:
			head, covers = s.revoke(source.ScopeOthers, mine[0].subject+" "+mine[1].session), mine[:1]
		}
		if n%50 == 49 { // a new generation for all, which covers no copy
			head = s.revoke(source.ScopeClient, "nobody")
		}
		if err := v.WaitFor(t.Context(), head); err != nil {
			t.Fatal(err)
		}
		for _, c := range covers {
			c.covered.Store(true)
		}
	}
	stop.Store(true)
	checkers.Wait()
	if n := v.Status().Seen; n > 64 {
		t.Errorf("%d copies are remembered, want at most 64", n)
	}
}

// An impersonation ends with what names who acts, also if it was found good before: the notifier does
// not know these names, so every check asks (P1).
func TestImpersonationIsAskedAbout(t *testing.T) {
	t.Parallel()
	for scope, c := range map[source.Scope]struct {
		id   string
		want error
	}{
		source.ScopeSession: {"ses_boss", counterfoil.ErrRevoked},
		source.ScopeSubject: {"boss", counterfoil.ErrRevoked},
		source.ScopeOthers:  {"boss ses_else", counterfoil.ErrRevoked},
		source.ScopeClaims:  {"boss", counterfoil.ErrStaleClaims},
		source.ScopeClient:  {"console", counterfoil.ErrRevoked},
	} {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		text := s.opaque("ses_1")
		s.set(func() {
			s.sessions[text].Actor, s.sessions[text].ActorSession, s.sessions[text].ActorClient = "boss", "ses_boss", "console"
		})
		for range 3 { // the second one finds it remembered
			if got, err := v.Verify(t.Context(), text); err != nil || got.Actor != "boss" {
				t.Fatalf("%s: Verify = %+v, %v", scope, got, err)
			}
		}
		if err := v.WaitFor(t.Context(), s.revoke(scope, c.id)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // and it stays refused (P3)
			if _, err := v.Verify(t.Context(), text); !errors.Is(err, c.want) {
				t.Errorf("%s %s was applied: Verify = %v, want %v", scope, c.id, err, c.want)
			}
		}
		v.Close()
	}
}

// P1 and P3 in every order of the steps of checks, the follower and the cache: those that the
// argument of notifier.go numbers.
func TestEveryOrder(t *testing.T) {
	for _, c := range []struct {
		scope  source.Scope
		what   string
		orders int
	}{
		{source.ScopeSession, "two checks", 72_072},
		{source.ScopeSession, "put", 27_720},
		{source.ScopeSession, "removed", 27_720},
		{source.ScopeSession, "moved", 27_720},
		{source.ScopeSession, "three checks", 5_040},
		{source.ScopeSubject, "three checks", 5_040},
		{source.ScopeOthers, "three checks", 5_040},
		{source.ScopeToken, "three checks", 5_040},
		{source.ScopeGrant, "three checks", 5_040},
		{source.ScopeClient, "put", 27_720},
		{source.ScopeSession, "asleep", 15_840},
		{source.ScopeToken, "asleep", 15_840},
		{source.ScopeSession, "first sight", 5_040},
	} {
		orders := 0
		everyOrder(meet(c.scope, c.what).sizes(), func(order []int) {
			orders++
			if wrong := meet(c.scope, c.what).run(order); wrong != "" {
				t.Fatalf("%s, %s, order %v: %s", c.scope, c.what, order, wrong)
			}
		})
		if orders != c.orders {
			t.Errorf("%s, %s: %d orders, want %d", c.scope, c.what, orders, c.orders)
		}
	}
}

// meeting is one run of TestEveryOrder.
type meeting struct {
	*counterfoil.Meeting
	parties [][]func() // the checks first
	checks  []*counterfoil.Verdict
}

func meet(scope source.Scope, what string) *meeting {
	m := &meeting{Meeting: counterfoil.NewMeeting(scope)}
	switch what {
	case "asleep":
		first, second := m.wakes(), m.wakes()
		m.parties = append(m.parties, first, []func(){func() { do(second...) }}, m.PutAsleep(), m.Follow())
		return m
	case "first sight":
		do(m.PutAsleep()...)
		m.check(false)
		for range 2 {
			steps := m.wakes()
			m.parties = append(m.parties, []func(){func() { do(steps...) }})
		}
		m.parties = append(m.parties, m.Follow())
		return m
	}
	put := m.Put()
	if what != "put" {
		do(put...)
	}
	if what == "two checks" || what == "removed" || what == "moved" {
		do(m.Check(new(counterfoil.Verdict))...) // asked about before, and good
	}
	m.check(false)
	if what != "moved" {
		m.check(what != "two checks")
	}
	switch what {
	case "put":
		m.parties = append(m.parties, put)
	case "removed":
		m.parties = append(m.parties, m.Remove())
	case "moved":
		m.parties = append(m.parties, m.Move())
	case "three checks":
		m.check(true)
	}
	m.parties = append(m.parties, m.Follow())
	return m
}

// wakes returns the steps of a check of a copy that may be asleep.
func (m *meeting) wakes() []func() {
	v := new(counterfoil.Verdict)
	m.checks = append(m.checks, v)
	return m.CheckAndWake(v)
}

// check adds a check, step by step or in one.
func (m *meeting) check(inOne bool) {
	v := new(counterfoil.Verdict)
	steps := m.Check(v)
	if inOne {
		m.parties = append(m.parties, []func(){func() { do(steps...) }})
	} else {
		m.parties = append(m.parties, steps)
	}
	m.checks = append(m.checks, v)
}

func (m *meeting) sizes() (sizes []int) {
	for _, steps := range m.parties {
		sizes = append(sizes, len(steps))
	}
	return sizes
}

// run takes the steps in that order, and says what was wrong.
func (m *meeting) run(order []int) (wrong string) {
	at := make([]int, len(m.parties))
	began, ended := make([]int, len(m.parties)), make([]int, len(m.parties))
	for n, party := range order {
		if at[party] == 0 {
			began[party] = n
		}
		m.parties[party][at[party]]()
		at[party]++
		ended[party] = n
	}
	for i, v := range m.checks {
		if v.Found && v.Knew && !v.Refused {
			return fmt.Sprintf("check %d accepted what its knowledge covers", i)
		}
		for j, w := range m.checks {
			if v.Refused && ended[i] < began[j] && w.Found && !w.Refused {
				return fmt.Sprintf("check %d accepted what was refused before", j)
			}
		}
	}
	var later counterfoil.Verdict
	do(m.Check(&later)...)
	if later.Found && !later.Refused {
		return "a check afterwards accepts"
	}
	return ""
}

func do(steps ...func()) {
	for _, step := range steps {
		step()
	}
}

// everyOrder calls f with every order of the steps of parties that have so many each.
func everyOrder(sizes []int, f func(order []int)) {
	left, total := slices.Clone(sizes), 0
	for _, n := range sizes {
		total += n
	}
	order := make([]int, 0, total)
	var next func()
	next = func() {
		if len(order) == total {
			f(order)
			return
		}
		for party := range left {
			if left[party] > 0 {
				left[party]--
				order = append(order, party)
				next()
				order = order[:len(order)-1]
				left[party]++
			}
		}
	}
	next()
}

// What is remembered is found by its whole text: not by the end that is hashed,
// and not by a part of it.
func TestSeenByWholeText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		good := s.sign(t, "at+jwt", claims())
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		for i := range len(good) {
			other := good[:i] + string(good[i]^1) + good[i+1:]
			if _, err := v.Verify(t.Context(), other); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Fatalf("byte %d changed: %v, want ErrInvalidToken", i, err)
			}
		}
		for _, other := range []string{good[1:], good[len(good)-64:], "A" + good, good + good} {
			if _, err := v.Verify(t.Context(), other); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%.20s…: %v, want ErrInvalidToken", other, err)
			}
		}
		if n := v.Status().Seen; n != 1 {
			t.Errorf("%d copies are remembered, want 1: junk gets in", n)
		}
		if s, err := v.Verify(t.Context(), strings.Clone(good)); err != nil || s.ID != "ses_1" {
			t.Errorf("the same text again: %v, %v", s, err)
		}
	})
}

// JWE-06: anybody encrypts to a public key, and can make any number of JWEs of one token
// that end alike. All of them have one place in the cache: it keeps a few.
func TestJWEsThatEndAlike(t *testing.T) {
	end := strings.Repeat("c", 100) + "." + strings.Repeat("t", 22)
	var alike []string
	for n := range 100 {
		alike = append(alike, fmt.Sprintf("header%02d.key.iv.%s", n, end))
	}
	if kept := counterfoil.Remember(alike); len(kept) != 4 || kept[3] != alike[99] {
		t.Errorf("%d of 100 are remembered, want 4 with the last: %q", len(kept), kept)
	}
	alike[50] += "u"
	if kept := counterfoil.Remember(alike); !slices.Contains(kept, alike[50]) {
		t.Errorf("one that ends otherwise is not remembered with them: %q", kept)
	}
}

// What is in use stays, however much comes by once: of 512 places, 128 are for
// sessions whose clients come back, and those are not looked up again.
func TestSeenKeepsWhatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		const room, used = 512, 128
		v := follow(t, s, counterfoil.Options{MaxSeen: room})
		defer v.Close()
		ids := make([]string, used)
		for i := range ids {
			ids[i] = s.opaque(fmt.Sprint("ses_", i))
		}
		verify := func(id string) {
			t.Helper()
			if _, err := v.Verify(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		use := func() {
			for _, id := range ids {
				verify(id)
			}
		}
		use()
		use()
		before := s.lookups.Load()
		const strangers = 40 * room
		for n := range strangers {
			verify(s.opaque(fmt.Sprint("once_", n)))
			if n%used == 0 {
				use()
			}
		}
		if again := s.lookups.Load() - before - strangers; again > 4*strangers/used { // a tenth of a percent, and by the secret of the hash up to 0.8
			t.Errorf("%d look-ups of what is in use while %d others came by once", again, strangers)
		}
		if n := v.Status().Seen; n > room || n < room*9/10 {
			t.Errorf("%d copies are remembered, want %d", n, room)
		}
		time.Sleep(15*time.Minute + 90*time.Second) // all die and are forgotten, and the cache is swept shard by shard
		if n := v.Status().Seen; n != 0 {
			t.Errorf("%d dead copies are remembered", n)
		}
	})
}
