// Package linear tests whether a store is linearizable. Many callers use the store at once,
// and [Run] records their calls. Porcupine then searches for an order of the calls, one at a
// time and each within the time in which it ran, that explains every answer. If there is no
// such order, the store is not linearizable. Then no proof that rests on the order of commits
// holds on it.
//
// The calls are those of a session's life: create, rotate, end, end all of a subject, look
// up, read the log. Linear is a package of its own so that only tests need porcupine.
package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

const (
	histories = 20
	callers   = 8
	steps     = 60 // of each caller, in one history
	subjects  = 3  // few, so that callers meet at the same records
)

// Run tests the store that open returns against the model. It closes the store.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	s := open(t)
	for n := range histories {
		if err := Check(t.Context(), s, fmt.Sprintf("h%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Check records one history with ids that begin with prefix. It returns an error if no order
// explains the history.
func Check(ctx context.Context, s store.Store, prefix string) error {
	_, head, err := s.Log(ctx, counterfoil.Cursor{}, 1)
	if err != nil {
		return err
	}
	h := &history{store: s, prefix: prefix, head: head, began: time.Now()}
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for id := range callers {
		wg.Go(func() { errs[id] = h.caller(ctx, id) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	switch porcupine.CheckOperationsTimeout(model(head), h.calls, time.Minute) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no verdict on %d calls within a minute", len(h.calls))
	}
	return fmt.Errorf("no order of these %d calls explains their answers: %s", len(h.calls), describe(h.calls))
}

// history records the calls.
type history struct {
	store  store.Store
	prefix string
	head   counterfoil.Cursor // before the first call
	began  time.Time

	mu    sync.Mutex
	calls []porcupine.Operation
}

// caller makes random calls. Most of them use revisions that it has just read.
func (h *history) caller(ctx context.Context, id int) error {
	rng := rand.New(rand.NewPCG(rand.Uint64(), uint64(id)))
	for n := range steps {
		c := call{subject: rng.IntN(subjects), write: id*steps + n + 1}
		revs := [3]uint64{}
		for i, what := range []verb{getSubject, getSession, getGrant} {
			if what == getGrant || rng.IntN(4) > 0 {
				got, err := h.do(ctx, id, call{verb: what, subject: c.subject})
				if err != nil {
					return err
				}
				revs[i] = got.rev
			}
		}
		c.subjectRev, c.sessionRev, c.grantRev = revs[0], revs[1], revs[2]
		c.verb = []verb{create, create, rotate, rotate, rotate, end, endAll, readLog}[rng.IntN(8)]
		if c.verb == create && c.grantRev > 0 && rng.IntN(4) > 0 {
			c.verb = rotate
		}
		if _, err := h.do(ctx, id, c); err != nil {
			return err
		}
	}
	return nil
}

// do makes one call and records it.
func (h *history) do(ctx context.Context, id int, c call) (answer, error) {
	from := time.Since(h.began)
	a, err := h.answer(ctx, c)
	to := time.Since(h.began)
	if err != nil {
		return a, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{ClientId: id, Input: c, Output: a, Call: int64(from), Return: int64(to)})
	return a, nil
}

func (h *history) answer(ctx context.Context, c call) (a answer, err error) {
	switch c.verb {
	case getSubject, getSession, getGrant:
		r, err := store.One(ctx, h.store, h.keys(c.subject)[c.verb])
		if errors.Is(err, store.ErrNotFound) {
			return a, nil
		}
		a.rev = r.Rev
		if err == nil && c.verb == getGrant {
			_, err = fmt.Sscanf(string(r.Value), `{"write":%d}`, &a.write)
		}
		return a, err
	case readLog:
		entries, head, err := h.store.Log(ctx, h.head, 1+callers*steps)
		a.head, a.entries = head, len(entries)
		return a, err
	}
	a.head, err = h.store.Commit(ctx, h.batch(c))
	if errors.Is(err, store.ErrConflict) {
		return answer{conflict: true}, nil
	}
	return a, err
}

// keys returns the keys of the subject, its session, and the session's grant. The index is
// the verb that reads the record.
func (h *history) keys(subject int) [3]store.Key {
	id := fmt.Sprintf("%s.%d", h.prefix, subject)
	return [3]store.Key{getSubject: {Kind: "subject", ID: id}, getSession: {Kind: "session", ID: id}, getGrant: {Kind: "grant", ID: id}}
}

func (h *history) batch(c call) (b store.Batch) {
	k := h.keys(c.subject)
	owner := k[getSubject].ID
	grant := store.Record{Key: k[getGrant], Owner: owner, Rev: c.grantRev, Value: fmt.Appendf(nil, `{"write":%d}`, c.write)}
	revoke := []source.Revocation{{Scope: source.ScopeSession, ID: owner, Expires: time.Now().Add(time.Hour)}}
	switch c.verb {
	case create:
		grant.Rev = 0
		b.Require = []store.Require{{Key: k[getSubject], Rev: c.subjectRev}}
		b.Put = []store.Record{{Key: k[getSession], Owner: owner, Value: []byte(`{}`)}, grant}
	case rotate:
		b.Require = []store.Require{{Key: k[getSubject], Rev: c.subjectRev}, {Key: k[getSession], Rev: c.sessionRev}}
		b.Put = []store.Record{grant}
	case end:
		b.Delete, b.Revoke = []store.Key{k[getSession], k[getGrant]}, revoke
	case endAll:
		b.Put = []store.Record{{Key: k[getSubject], Rev: c.subjectRev, Value: []byte(`{}`)}}
		b.DeleteOwned, b.Revoke = []store.Owned{{Kind: "session", Owner: owner}, {Kind: "grant", Owner: owner}}, revoke
	}
	return b
}
