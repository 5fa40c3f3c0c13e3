// Package revlog is the issuing side of the revocation log: it appends entries, knows the
// head, hands out pages to verifiers, and notices a store that has lost entries. Begin
// with [New]; [NewFeed] serves the log to verifiers. It knows no sessions: what a lost log
// ends, it is told by [Options.EndAll].
package revlog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/coalesce"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// ErrBadRequest means that an argument is not acceptable; nothing was done.
var ErrBadRequest = check.ErrBadRequest

// pageSize is how many entries one read of the log returns at most.
const pageSize = 5000

// Options of New. All are required.
type Options struct {
	Store    store.Store  // the store that holds the log
	Audit    *audit.Trail // hears of new epochs
	ProofKey []byte       // makes Page.Proof; the same in every process on one store
	Time     *nodetime.Clock

	// EndAll returns what the commit that begins a new epoch does besides: it ends every
	// session, because nobody can say which of them were revoked by entries that are lost.
	// The detail goes into the trail.
	EndAll func(ctx context.Context) (b store.Batch, detail string, err error)

	// KeyRevoked is called when the log holds the revocation of a signing key, before the
	// log counts that entry as applied: the issuer reads its keyring. After an error the
	// entry is read again.
	KeyRevoked func(ctx context.Context) error
}

// Log is the revocation log of one store. It keeps what this process has read, and never
// believes that without asking the store for the head: other nodes write to the log, too.
type Log struct {
	opts  Options
	heads coalesce.Reads[counterfoil.Cursor]

	revoked *source.Revocations // holds all entries up to applied

	// mu guards applied. It is held as a writer while another epoch takes the place of
	// the one that revoked is of, so that no reader asks about an epoch that is half gone.
	mu      sync.RWMutex
	applied counterfoil.Cursor
}

// New returns the log of o.Store. It reads nothing yet.
func New(o Options) (*Log, error) {
	if o.Store == nil || o.Audit == nil || len(o.ProofKey) == 0 || o.Time == nil || o.EndAll == nil || o.KeyRevoked == nil {
		return nil, errors.New("revlog: all Options are required")
	}
	return &Log{opts: o, revoked: source.NewRevocations()}, nil
}

// Applied returns the cursor up to which this process has applied the log. Its epoch is 0
// before the first read.
func (l *Log) Applied() counterfoil.Cursor {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.applied
}

func (l *Log) begin(epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked.Reset()
	l.applied = counterfoil.Cursor{Epoch: epoch}
}

func (l *Log) apply(entries []source.Revocation, upto counterfoil.Cursor) {
	l.revoked.Apply(entries) // before applied says so
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = upto
}

// Head reads the head of the log from the store, and applies the entries up to it.
func (l *Log) Head(ctx context.Context) (counterfoil.Cursor, error) {
	return l.heads.Do(ctx, l.catchUp)
}

// CatchUpTo applies the log up to a head that a commit has returned, so that the issuer
// signs no copy with a key that was revoked before.
func (l *Log) CatchUpTo(ctx context.Context, head counterfoil.Cursor) error {
	if at := l.Applied(); at.Epoch == head.Epoch && !at.Before(head) {
		return nil
	}
	_, err := l.Head(ctx)
	return err
}

// catchUp applies what the log holds beyond applied. One runs at a time.
func (l *Log) catchUp(ctx context.Context) (counterfoil.Cursor, error) {
	at := l.Applied()
	for {
		entries, head, err := l.opts.Store.Log(ctx, at, pageSize)
		if l.recoverLost(ctx, err) {
			continue
		}
		if err != nil {
			return counterfoil.Cursor{}, store.Outage(err)
		}
		if slices.ContainsFunc(entries, func(e source.Revocation) bool { return e.Scope == source.ScopeKey }) {
			// Another node has revoked a key: this one must not sign with it any longer.
			if err := l.opts.KeyRevoked(ctx); err != nil {
				return counterfoil.Cursor{}, err
			}
		}
		if head.Epoch != at.Epoch {
			if at.Epoch != 0 {
				l.opts.Audit.Tell(audit.Act{Reason: "the store has another log than before"}.Entry(audit.NewEpoch, ""))
			}
			l.begin(head.Epoch)
		}
		last := len(entries) < pageSize
		if at = head; !last {
			at = entries[len(entries)-1].At
		}
		l.apply(entries, at)
		if last {
			return head, nil
		}
	}
}

// Covered asks the log, read up to its head now, whether a copy was revoked. The error
// says how it ended. oursAlone says that nobody but the issuer can have signed the copy:
// only then is a copy that is younger than the log a sign that the log has lost its end.
func (l *Log) Covered(ctx context.Context, s *counterfoil.Session, oursAlone bool) error {
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	if head.Before(s.Born) {
		if !oursAlone { // anybody who shares the secret could end every session
			return counterfoil.ErrInvalidToken
		}
		// The issuer signed it, so the log was there once: the store has lost what came
		// between, and the next entries would not cover what was born before them (REV-09).
		if err := l.beginEpoch(ctx, "a token is younger than the log"); err != nil {
			return store.Outage(err)
		}
		return counterfoil.ErrInvalidToken
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if s.Born.Epoch != head.Epoch || s.Born.Epoch != l.applied.Epoch {
		return counterfoil.ErrInvalidToken // a log that began after it was born says nothing about it (4.6)
	}
	if r, ok := l.revoked.Covers(s.Names()); ok {
		if r.Scope == source.ScopeClaims {
			return counterfoil.ErrStaleClaims
		}
		return counterfoil.ErrRevoked
	}
	return nil
}

// Commit commits b and its audit entries. If the store has lost entries, Commit begins a
// new epoch and tries again. Errors are those of the store.
func (l *Log) Commit(ctx context.Context, b store.Batch, notes ...audit.Entry) (counterfoil.Cursor, error) {
	head, err := l.commit(ctx, b, notes...)
	if l.recoverLost(ctx, err) {
		head, err = l.commit(ctx, b, notes...)
	}
	return head, err
}

// Find returns the latest entry of that scope and id that was applied. It costs a look-up,
// however long the log is: call Head first, for an entry that was committed before the call.
func (l *Log) Find(scope source.Scope, id string) (source.Revocation, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.revoked.Find(scope, id)
}

// Forget drops entries that expired before the given time from memory; the store sweeps
// its own.
func (l *Log) Forget(before time.Time) { l.revoked.Drop(before) }

// page reads the entries after a cursor, and the head, from the store.
func (l *Log) page(ctx context.Context, after counterfoil.Cursor) (source.Page, error) {
	entries, head, err := l.opts.Store.Log(ctx, after, pageSize)
	if l.recoverLost(ctx, err) {
		entries, head, err = l.opts.Store.Log(ctx, after, pageSize)
	}
	if err != nil {
		return source.Page{}, err
	}
	p := source.Page{Entries: entries, After: after, Upto: head, Head: head, Time: l.opts.Time.Now()}
	if after.Epoch != head.Epoch {
		p.After = counterfoil.Cursor{Epoch: head.Epoch}
	}
	if len(entries) == pageSize {
		p.Upto = entries[len(entries)-1].At
	}
	p.Proof = l.proof(p.Upto)
	return p, nil
}

// proof shows that a process with the same ProofKey was at c.
func (l *Log) proof(c counterfoil.Cursor) string {
	m := hmac.New(sha256.New, l.opts.ProofKey)
	m.Write([]byte(c.String()))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// checkAhead answers a verifier that has seen entries which the store does not have: the
// store was restored from a backup, or has lost its tail. The verifier must prove what it
// saw, or anybody who may read the log could end every session by making up a cursor.
func (l *Log) checkAhead(ctx context.Context, seen counterfoil.Cursor, proof string) error {
	if !hmac.Equal([]byte(proof), []byte(l.proof(seen))) {
		return fmt.Errorf("%w: cursor beyond the head, without the proof that came with it", ErrBadRequest)
	}
	return store.Outage(l.beginEpoch(ctx, "a verifier has seen entries that the store has not"))
}
