package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// answers is how often one use of a refresh token is answered.
const answers = 6

// successors counts what the uses of one refresh token were answered with.
type successors struct {
	mu  sync.Mutex
	got map[string]int
}

// add refreshes with the token of held. Only too many uses of it may be refused.
func (s *successors) add(t *testing.T, i *issuer.Issuer, held *issuer.Issued) {
	got, err := i.Refresh(context.Background(), held.Refresh.Reveal(), issuer.Renewal{})
	if errors.As(err, new(issuer.TooOften)) {
		return
	}
	if err != nil {
		t.Errorf("Refresh = %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got == nil {
		s.got = map[string]int{}
	}
	s.got[got.Refresh.Reveal()]++
}

// one is the one successor, which as many as may have been answered with.
func (s *successors) one(t *testing.T) (token string) {
	t.Helper()
	if len(s.got) != 1 {
		t.Fatalf("%d successors of one token", len(s.got))
	}
	for one, n := range s.got {
		if token = one; n != answers {
			t.Errorf("the successor was handed out %d times, want %d", n, answers)
		}
	}
	return token
}

func at(address string) audit.Act { return audit.Act{Address: netip.MustParseAddr(address)} }

// REF-03: the grace is never shorter than configured, wherever in a second the token was used,
// and whichever node is asked again: each may be 2 s away from the store's clock.
func TestGraceIsNeverShorter(t *testing.T) {
	for _, off := range []time.Duration{-4 * time.Second, 0, 4 * time.Second} {
		for _, fraction := range []time.Duration{0, 40 * time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
			a, b := nodes(t)
			start := time.Now().Truncate(time.Second).Add(fraction)
			a.clock.now, b.clock.now = start, start.Add(off)
			first := a.login(t, "alice", counterfoil.CarrierBearer)
			second, err := a.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{}); err != nil || got.Refresh.Reveal() != second.Refresh.Reveal() {
					t.Errorf("a node that is %v ahead, used at %v: repeat at %v = %v", off, fraction, b.clock.now.Sub(start), err)
				}
				b.clock.add(10 * time.Second) // the default grace, to its very end
			}
			b.clock.add(10 * time.Second)
			if _, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, issuer.ErrReused) {
				t.Errorf("a node that is %v ahead: repeat after 20 s = %v, want ErrReused", off, err)
			}
		}
	}
}

// REF-02, REF-03: only the party that used a refresh token is answered again. From anybody else
// it is reuse, at the first time and within the grace.
func TestGraceIsForTheSameParty(t *testing.T) {
	const home, home2, away = "2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:9::1"
	nonce, other := "0123456789abcdef", "fedcba9876543210"
	device := secret.New("cfd_one")
	for name, c := range map[string]struct {
		used, again issuer.Renewal
		good        bool
	}{
		"nothing is known":              {issuer.Renewal{}, issuer.Renewal{}, true},
		"the same address and agent":    {issuer.Renewal{Act: at(home), UserAgent: "x"}, issuer.Renewal{Act: at(home), UserAgent: "x"}, true},
		"the same network":              {issuer.Renewal{Act: at(home), UserAgent: "x"}, issuer.Renewal{Act: at(home2), UserAgent: "x"}, true},
		"another address":               {issuer.Renewal{Act: at(home), UserAgent: "x"}, issuer.Renewal{Act: at(away), UserAgent: "x"}, false},
		"another agent":                 {issuer.Renewal{Act: at(home), UserAgent: "x"}, issuer.Renewal{Act: at(home), UserAgent: "y"}, false},
		"an address where none was":     {issuer.Renewal{UserAgent: "x"}, issuer.Renewal{Act: at(home), UserAgent: "x"}, false},
		"no address where one was":      {issuer.Renewal{Act: at(home)}, issuer.Renewal{}, false},
		"the nonce, from elsewhere":     {issuer.Renewal{Act: at(home), UserAgent: "x", Nonce: nonce}, issuer.Renewal{Act: at(away), UserAgent: "y", Nonce: nonce}, true},
		"another nonce":                 {issuer.Renewal{Act: at(home), Nonce: nonce}, issuer.Renewal{Act: at(home), Nonce: other}, false},
		"no nonce where one was":        {issuer.Renewal{Act: at(home), Nonce: nonce}, issuer.Renewal{Act: at(home)}, false},
		"a nonce where none was":        {issuer.Renewal{Act: at(home)}, issuer.Renewal{Act: at(away), Nonce: nonce}, false},
		"a nonce at last":               {issuer.Renewal{Act: at(home), UserAgent: "x"}, issuer.Renewal{Act: at(home), UserAgent: "x", Nonce: nonce}, true},
		"the device, from elsewhere":    {issuer.Renewal{Act: at(home), Device: device}, issuer.Renewal{Act: at(away), Device: device}, true},
		"another device":                {issuer.Renewal{Act: at(home), Device: device}, issuer.Renewal{Act: at(home), Device: secret.New("cfd_two")}, false},
		"no device where one was":       {issuer.Renewal{Act: at(home), Device: device}, issuer.Renewal{Act: at(home)}, false},
		"the device, and another nonce": {issuer.Renewal{Device: device, Nonce: nonce}, issuer.Renewal{Device: device, Nonce: other}, true},
		"a nonce that is the device":    {issuer.Renewal{Device: secret.New(nonce)}, issuer.Renewal{Nonce: nonce}, false},
	} {
		b := newIssuer(t, memory.New())
		first := b.login(t, "alice", counterfoil.CarrierBearer)
		second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), c.used)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Refresh(t.Context(), first.Refresh.Reveal(), c.again)
		if c.good {
			if err != nil || got.Refresh.Reveal() != second.Refresh.Reveal() {
				t.Errorf("%s: %v, want the same successor", name, err)
			}
			continue
		}
		if !errors.Is(err, issuer.ErrReused) {
			t.Errorf("%s: %v, want ErrReused", name, err)
		}
		if _, err := b.Refresh(t.Context(), second.Refresh.Reveal(), c.used); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: the session lives on: %v", name, err)
		}
		if told, err := b.Notices(t.Context(), "alice"); err != nil || len(told) != 1 || told[0].Address != c.again.Act.Address {
			t.Errorf("%s: notices %+v, %v", name, told, err)
		}
	}
}

// A nonce that could be guessed is refused before anything is looked at.
func TestNonceIsLong(t *testing.T) {
	b, s := newFaulty(t)
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	for _, nonce := range []string{"123456789abcdef", "0123456789abcde ", string(make([]byte, 16)), string(make([]byte, 129))} {
		made := calls(s, func() {
			if _, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{Nonce: nonce}); !errors.Is(err, issuer.ErrBadRequest) {
				t.Errorf("a nonce of %d bytes: %v, want ErrBadRequest", len(nonce), err)
			}
		})
		if len(made) != 0 {
			t.Errorf("a nonce of %d bytes costs %v", len(nonce), made)
		}
	}
}

// REF-03: an answer that is given again is the same: the same successor, and a copy that ends
// when the first one does. Each is audited, there are a few, and one too many ends nothing. It
// costs what a refresh does.
func TestRepeatIsTheSameAnswer(t *testing.T) {
	b, s := newFaulty(t)
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	for range answers - 1 {
		b.clock.add(time.Second)
		var got *issuer.Issued
		made := calls(s, func() {
			if got, err = b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{}); err != nil {
				t.Fatal(err)
			}
		})
		if got.Refresh.Reveal() != second.Refresh.Reveal() || !got.Session.Expires.Equal(second.Session.Expires) {
			t.Errorf("another successor, or a copy until %v instead of %v", got.Session.Expires, second.Session.Expires)
		}
		if want := got.Session.Expires.Sub(b.clock.Now()); got.ExpiresIn != want {
			t.Errorf("ExpiresIn is %v, want %v", got.ExpiresIn, want)
		}
		if _, err := b.Lookup(t.Context(), got.Access.Reveal()); err != nil {
			t.Errorf("Lookup = %v", err)
		}
		if made[storetest.OpGet] != 1 || made[storetest.OpCommit] != 1 || made[storetest.OpLog]+made[storetest.OpList] != 0 {
			t.Errorf("a repeat made the calls %v, want one read and one commit", made)
		}
	}
	if _, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{}); !errors.As(err, new(issuer.TooOften)) {
		t.Errorf("one repeat too many = %v, want TooOften", err)
	}
	entries, _, err := b.Audit().List(t.Context(), audit.Query{Subject: "alice"})
	n := 0
	for _, e := range entries {
		if e.Action == audit.Repeat && e.Outcome == audit.OK && e.Session == first.Session.ID {
			n++
		}
	}
	if err != nil || n != answers-1 {
		t.Errorf("%d repeats are audited (%v), want %d", n, err, answers-1)
	}
	third, err := b.Refresh(t.Context(), second.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatalf("the successor = %v", err)
	}
	for range answers - 1 { // a new use has its own
		if got, err := b.Refresh(t.Context(), second.Refresh.Reveal(), issuer.Renewal{}); err != nil || got.Refresh.Reveal() != third.Refresh.Reveal() {
			t.Fatalf("a repeat of the next use = %v", err)
		}
	}
}

// REF-03: a copy that is handed out again when it has ended already is over, and not longer.
func TestRepeatOfAShortCopy(t *testing.T) {
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.AccessTTL, o.Grace = 10*time.Second, time.Minute })
	first := b.login(t, "alice", counterfoil.CarrierBearer)
	second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Minute)
	got, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{})
	if err != nil || got.Refresh.Reveal() != second.Refresh.Reveal() || got.ExpiresIn != 0 {
		t.Fatalf("Refresh = %+v, %v", got, err)
	}
	if _, err := b.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("Lookup = %v, want ErrExpired", err)
	}
}

// A grant is refreshed at a bounded rate, at all nodes together. What is refused waits, and ends
// nothing.
func TestRateOfRefreshes(t *testing.T) {
	a, b := nodes(t)
	b.clock.now = a.clock.now
	pass := func(d time.Duration) { a.clock.add(d); b.clock.add(d) }
	held := a.login(t, "alice", counterfoil.CarrierBearer)
	step := func(want bool) {
		t.Helper()
		a, b = b, a
		got, err := a.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
		var often issuer.TooOften
		if want != (err == nil) || !want && (!errors.As(err, &often) || often.RetryAfter != 2*time.Second) {
			t.Fatalf("Refresh = %v, want it to be answered: %v", err, want)
		}
		if want {
			held = got
		}
	}
	for range 30 {
		step(true)
	}
	for range 2 {
		step(false)
		step(false)
		pass(2 * time.Second)
		step(true)
	}
	pass(time.Hour)
	for range 30 {
		step(true)
	}
	step(false)
}

// A record of an earlier version knows of its last rotation the address alone.
func TestGraceOfAnEarlierVersion(t *testing.T) {
	for from, good := range map[string]bool{"192.0.2.1": true, "192.0.2.2": false} {
		b := newIssuer(t, memory.New())
		first := b.login(t, "alice", counterfoil.CarrierBearer)
		second, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{Act: at("192.0.2.1"), UserAgent: "x"})
		if err != nil {
			t.Fatal(err)
		}
		for rec, err := range b.store.List(t.Context(), "grant", "alice", "") {
			var members map[string]any
			if err := errors.Join(err, json.Unmarshal(rec.Value, &members)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"agent", "copy"} {
				if members[name] == nil {
					t.Fatalf("the record has no %q: %s", name, rec.Value)
				}
				delete(members, name)
			}
			if rec.Value, err = json.Marshal(members); err != nil {
				t.Fatal(err)
			}
			if _, err := b.store.Commit(t.Context(), store.Batch{Put: []store.Record{rec}}); err != nil {
				t.Fatal(err)
			}
			break
		}
		got, err := b.Refresh(t.Context(), first.Refresh.Reveal(), issuer.Renewal{Act: at(from), UserAgent: "x"})
		if good != (err == nil) || !good && !errors.Is(err, issuer.ErrReused) {
			t.Errorf("from %s: %v", from, err)
		}
		if good && (got.Refresh.Reveal() != second.Refresh.Reveal() || got.ExpiresIn < 4*time.Minute) {
			t.Errorf("from %s: %+v", from, got)
		}
	}
}
