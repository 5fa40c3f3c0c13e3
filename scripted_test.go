package counterfoil_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/source"
)

const epoch = 0x0123456789abcdef

func at(seq uint64) counterfoil.Cursor { return counterfoil.Cursor{Epoch: epoch, Seq: seq} }

// scripted is a source that answers as a test decides: what no sound issuer says.
type scripted struct {
	signer *token.Signer

	keys, logs, lookups atomic.Int64 // questions asked

	mu       sync.Mutex // guards all below
	others   []token.Key
	head     counterfoil.Cursor
	entries  []source.Revocation
	moved    chan struct{}
	down     error         // answers everything
	slow     time.Duration // before each answer of Lookup
	now      func() time.Time
	answer   func(source.Follow, source.Page) source.Page
	jwks     func([]byte) ([]byte, error)
	sessions map[string]*counterfoil.Session
}

func newScripted(t testing.TB) *scripted {
	t.Helper()
	s := &scripted{head: at(1), moved: make(chan struct{}), now: time.Now, sessions: make(map[string]*counterfoil.Session)}
	s.signer = newSigner(t, "k1")
	return s
}

func newSigner(t testing.TB, kid string) *token.Signer {
	t.Helper()
	private, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(kid, token.ES256, private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *scripted) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *scripted) Keys(context.Context) ([]byte, error) {
	s.keys.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	set, err := token.MarshalJWKS(append([]token.Key{s.signer.Key()}, s.others...))
	if err == nil {
		err = s.down
	}
	if err == nil && s.jwks != nil {
		return s.jwks(set)
	}
	return set, err
}

func (s *scripted) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	s.logs.Add(1)
	timer := time.NewTimer(f.Wait)
	defer timer.Stop()
	for waited := f.Wait == 0; ; {
		s.mu.Lock()
		head, moved, down, page := s.head, s.moved, s.down, s.page(f)
		s.mu.Unlock()
		if down != nil {
			return source.Page{}, down
		}
		if waited || head != f.After {
			return page, nil
		}
		select {
		case <-ctx.Done():
			return source.Page{}, ctx.Err()
		case <-timer.C:
			waited = true
		case <-moved:
		}
	}
}

func (s *scripted) page(f source.Follow) source.Page {
	p := source.Page{After: f.After, Upto: s.head, Head: s.head, Time: s.now()}
	if f.After.Epoch != s.head.Epoch {
		p.After = counterfoil.Cursor{Epoch: s.head.Epoch}
	}
	for _, e := range s.entries {
		if p.After.Before(e.At) {
			p.Entries = append(p.Entries, e)
		}
	}
	if s.answer != nil {
		p = s.answer(f, p)
	}
	return p
}

func (s *scripted) Lookup(ctx context.Context, credential string) (*counterfoil.Session, error) {
	s.lookups.Add(1)
	s.mu.Lock()
	found, down, slow := s.sessions[credential], s.down, s.slow
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(slow):
	}
	if down != nil {
		return nil, down
	}
	if found == nil {
		return nil, counterfoil.ErrRevoked
	}
	return found, nil
}

// revoke appends an entry and returns its cursor.
func (s *scripted) revoke(scope source.Scope, id string) counterfoil.Cursor {
	var head counterfoil.Cursor
	s.set(func() {
		s.head.Seq++
		head = s.head
		s.entries = append(s.entries, source.Revocation{At: head, Scope: scope, ID: id, Expires: time.Now().Add(17 * time.Minute)})
	})
	return head
}

func claims() *token.Claims {
	now := time.Now().Unix()
	return &token.Claims{
		Issuer: issuerURL, Subject: "alice", Client: "web", ID: "tok_1", SID: "ses_1", RV: at(1).String(),
		Audience: []string{issuerURL}, Expires: now + 300, IssuedAt: now, AuthTime: now,
	}
}

func (s *scripted) sign(t testing.TB, typ string, c *token.Claims) string {
	t.Helper()
	return sign(t, s.signer, typ, c)
}

func sign(t testing.TB, signer *token.Signer, typ string, c *token.Claims) string {
	t.Helper()
	payload, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.Sign(typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// opaque makes a session that is looked up.
func (s *scripted) opaque(sid string) string {
	id := token.NewOpaque()
	s.set(func() {
		s.sessions[id] = &counterfoil.Session{
			ID: sid, Issuer: issuerURL, Subject: "alice", Client: "web", Audience: []string{issuerURL},
			AuthTime: time.Now(), IssuedAt: time.Now(), Expires: time.Now().Add(5 * time.Minute), Born: s.head,
		}
	})
	return id
}

var quiet = slog.New(slog.DiscardHandler)

func follow(t testing.TB, source counterfoil.Source, o counterfoil.Options) *counterfoil.Verifier {
	t.Helper()
	o.Issuer, o.Audience = issuerURL, issuerURL
	if o.Logger == nil {
		o.Logger = quiet
	}
	var v *counterfoil.Verifier
	var err error
	if _, measured := t.(*testing.B); measured {
		v, err = counterfoil.NewVerifier(t.Context(), source, o)
	} else { // in a bubble, the machine's own clock from boot is another time than the bubble's
		begun := time.Now()
		v, err = counterfoil.NewVerifierWithBoot(t.Context(), source, o, func() time.Duration { return time.Since(begun) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}
