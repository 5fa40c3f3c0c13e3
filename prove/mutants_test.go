package prove

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// naive is another verifier, written from the contract alone. It has one fault, or none.
// Without a fault it must pass. Each fault must be found.
type naive struct {
	fault  string
	source counterfoil.Source
	bound  time.Duration
	wall   func() time.Time
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex // guards cursor to entries
	cursor  counterfoil.Cursor
	fresh   time.Time
	full    bool
	outage  time.Time // when a read of the log last failed
	entries []naiveEntry
	checks  map[string]int // of a text
	told    map[string]int // how many entries a text is judged by, once it was moved

	lookups  sync.Mutex // guards sessions; held during a look-up
	sessions map[string]*counterfoil.Session
}

type naiveEntry struct {
	source.Revocation
	arrived time.Time
}

func startNaive(ctx context.Context, fault string, s counterfoil.Source, o counterfoil.Options) (verifier, error) {
	n := &naive{fault: fault, source: s, bound: o.Bound, wall: o.Now, sessions: make(map[string]*counterfoil.Session), checks: make(map[string]int), told: make(map[string]int)}
	if fault == "starts at the head" {
		page, err := s.Log(ctx, source.Follow{})
		if err != nil {
			return nil, err
		}
		n.cursor = page.Head
	}
	for !n.full {
		if err := n.read(ctx, 0); err != nil {
			return nil, err
		}
	}
	run, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.done.Go(func() {
		for run.Err() == nil {
			if n.read(run, o.Bound/4) != nil {
				pause(run, o.Bound/40)
			}
		}
	})
	return n, nil
}

func (n *naive) Close() {
	n.cancel()
	n.done.Wait()
}

func (n *naive) read(ctx context.Context, wait time.Duration) error {
	asked := time.Now()
	// A verifier that gives up soon is not harmed by counting from arrival. So this fault
	// does not give up.
	if n.fault != "counts from arrival" && wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.bound/2)
		defer cancel()
	}
	page, err := n.source.Log(ctx, source.Follow{After: n.cursor, Wait: wait, Verifier: "naive-" + n.fault[:min(len(n.fault), 1)] + "-12345678", Bound: n.bound})
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.outage = time.Now()
		if n.fault == "forgets in an outage" {
			n.entries = nil
		}
		return err
	}
	for i, e := range page.Entries {
		if n.fault == "drops entries" && (i+len(n.entries))%3 == 0 {
			n.entries = append(n.entries, naiveEntry{})
			continue
		}
		n.entries = append(n.entries, naiveEntry{e, time.Now()})
	}
	n.cursor = page.Upto
	if n.full = page.Complete(); n.full {
		n.fresh = asked
		if n.fault == "counts from arrival" {
			n.fresh = time.Now()
		}
	}
	return nil
}

func (n *naive) VerifyRequest(r *http.Request) (*counterfoil.Session, error) {
	text := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c, err := r.Cookie(source.InsecureCookieName); err == nil {
		text = c.Value
	}
	s, err := n.session(r.Context(), text)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.fault {
	case "judges by the wall clock":
		if !s.Expires.IsZero() && n.wall().After(s.Expires.Add(30*time.Second)) {
			return nil, counterfoil.ErrExpired
		}
	case "drops by the wall clock":
		n.entries = slices.DeleteFunc(n.entries, func(e naiveEntry) bool { return n.wall().After(e.Expires) })
	}
	entries := n.entries
	moved := strings.HasPrefix(n.fault, "moves copies") && n.moved(text)
	if moved && n.fault == "moves copies and no longer tells them" {
		entries = entries[:n.told[text]]
	}
	covered := slices.ContainsFunc(entries, func(e naiveEntry) bool { return n.covers(e, s) })
	switch {
	case covered:
		return nil, counterfoil.ErrRevoked
	case moved && n.fault == "moves copies and refuses what it does not find":
		return nil, counterfoil.ErrRevoked
	case n.fault == "refuses at random" && strings.HasSuffix(s.Subject, "7"):
		return nil, counterfoil.ErrRevoked
	case n.fault == "never comes back" && !n.outage.IsZero():
		return nil, counterfoil.ErrStale
	case time.Since(n.fresh) > n.bound && n.fault != "has no bound":
		return nil, counterfoil.ErrStale
	}
	return s, nil
}

// moved reports whether the copy of text was moved before: at its third check, when as many
// entries as told has were known. The caller holds mu.
func (n *naive) moved(text string) bool {
	if n.checks[text]++; n.checks[text] == 3 {
		n.told[text] = len(n.entries)
	}
	return n.checks[text] >= 3
}

func (n *naive) covers(e naiveEntry, s *counterfoil.Session) bool {
	before := s.Born.Epoch != e.At.Epoch || s.Born.Seq < e.At.Seq
	if n.fault == "orders by the clock" {
		before = !s.IssuedAt.After(e.arrived.Truncate(time.Second))
	}
	switch e.Scope {
	case source.ScopeSession:
		return e.ID == s.ID
	case source.ScopeToken:
		return s.TokenID != "" && e.ID == s.TokenID
	case source.ScopeSubject:
		return e.ID == s.Subject && before
	case source.ScopeClient:
		return e.ID == s.Client && before
	}
	return false
}

// session reads a JWT, without its signature, which no scenario tests. It looks up any other
// credential.
func (n *naive) session(ctx context.Context, text string) (*counterfoil.Session, error) {
	if parts := strings.Split(text, "."); len(parts) == 3 {
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			return nil, err
		}
		var c struct {
			SID, Sub, Jti string
			Client        string `json:"client_id"`
			Iat, Exp      int64
			RV            counterfoil.Cursor
		}
		err = json.Unmarshal(raw, &c)
		return &counterfoil.Session{ID: c.SID, Subject: c.Sub, TokenID: c.Jti, Client: c.Client, IssuedAt: time.Unix(c.Iat, 0), Expires: time.Unix(c.Exp, 0), Born: c.RV}, err
	}
	// One look-up at a time: an answer from before a revocation must not be kept after another
	// look-up was refused (P3).
	n.lookups.Lock()
	defer n.lookups.Unlock()
	tag := text
	if n.fault == "takes one copy for another" {
		tag = text[:1]
	}
	if s := n.sessions[tag]; s != nil {
		return s, nil
	}
	s, err := n.source.Lookup(ctx, text)
	if err == nil {
		n.sessions[tag] = s
	}
	return s, err
}

// Run finds every kind of fault, and finds none in a verifier without a fault.
func TestMutants(t *testing.T) {
	var all sync.WaitGroup
	for _, c := range []struct{ fault, scenarios, want string }{
		{"", "history|history, faults", ""},
		{"", "late answers|black hole|resets|races|cold start", ""},
		{"counts from arrival", "late answers", "P1"},
		{"has no bound", "black hole", "P1"},
		{"drops entries", "history", "P1"},
		{"refuses at random", "history", "P2"},
		{"orders by the clock", "races", "P2"},
		{"forgets in an outage", "resets", "P3"},
		{"starts at the head", "cold start", "P3"},
		{"never comes back", "resets", "P4"},
		{"moves copies and no longer tells them", "history", "P1"},
		{"moves copies and refuses what it does not find", "history", "P2"},
		{"takes one copy for another", "history", "P1"},
	} {
		all.Go(func() { // concurrently: the scenarios wait most of the time
			report, err := Run(t.Context(), Options{
				Stores: stores[:1], Duration: 5 * time.Second, Verifiers: 3, Clients: 2, Revokers: 2, patience: 5 * time.Second,
				Only: strings.Split(c.scenarios, "|"),
				newVerifier: func(ctx context.Context, s counterfoil.Source, o counterfoil.Options) (verifier, error) {
					return startNaive(ctx, c.fault, s, o)
				},
			})
			if err != nil {
				t.Error(err)
				return
			}
			for _, r := range report.Results {
				found := strings.Join(append(r.Violations, r.Problems...), "\n")
				if c.want == "" && !r.Held {
					t.Errorf("%s: violations of a verifier without a fault:\n%s", r.Scenario, found)
				}
				if c.want != "" && !slices.ContainsFunc(r.Violations, func(v string) bool { return strings.HasPrefix(v, c.want+":") }) {
					t.Errorf("%s: a verifier that %s: found %q, want a violation of %s", r.Scenario, c.fault, found, c.want)
				}
			}
		})
	}
	all.Wait()
}
