package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// pageSize is how many entries a page of the log holds at most.
const pageSize = 5000

// maxWait caps a long poll, whoever asks for a longer one.
const maxWait = 30 * time.Second

// Log returns the next page of the revocation log, see counterfoil.Source. The
// head of the page is read from the store after the wait (REV-03): a page from
// memory would prove nothing. Others may get the same page: its entries are not to be
// changed.
func (i *Issuer) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	p, err := i.log(ctx, f)
	if err != nil {
		return source.Page{}, err
	}
	return p.Page, nil
}

// LogJSON is Log as GET /v1/log answers it, encoded once for all who get the page. It
// is not to be changed.
func (i *Issuer) LogJSON(ctx context.Context, f source.Follow) ([]byte, error) {
	p, err := i.log(ctx, f)
	if err != nil {
		return nil, err
	}
	return p.json()
}

func (i *Issuer) log(ctx context.Context, f source.Follow) (*shared, error) {
	q, err := i.question(f)
	if err != nil {
		return nil, err
	}
	return q.first(ctx)
}

// Pages answers f with one page after the other, as long as f.Wait: each as soon as it
// is there, so that news costs whoever follows no question. Each is passed to send as a
// record of a JSON text sequence (RFC 7464), which is not to be changed, and with whether
// it is surely the last one. An error after the first page is an early end: what was sent
// is true, and the next question meets the error.
func (i *Issuer) Pages(ctx context.Context, f source.Follow, send func(record []byte, last bool) error) error {
	q, err := i.question(f)
	if err != nil {
		return err
	}
	p, err := q.first(ctx)
	if err != nil {
		return err
	}
	hurry := i.leases.hurried() // whoever is waited for must ask, to show what has arrived
	for p != nil && err == nil {
		last := !p.Complete() || i.feed.over(q.due)
		var record []byte
		if record, err = p.text(); err == nil {
			err = send(record, last)
		}
		if err != nil || last {
			return err
		}
		q.After, q.Proof = p.Upto, p.Proof
		if p, err = q.answer(ctx, hurry); err == nil && p != nil && p.Upto == q.After {
			return nil // the wait is over, and a page has been sent
		}
	}
	return nil
}

// question is a Follow that is being answered.
type question struct {
	source.Follow
	i     *Issuer
	asked time.Time
	due   time.Duration // when its wait is over, by the feed
}

func (i *Issuer) question(f source.Follow) (*question, error) {
	if f.Verifier != "" && (f.Bound <= 0 || f.Bound > i.opts.MaxBound || len(f.Verifier) < 8 || checkText("verifier", f.Verifier, 64) != nil) {
		return nil, fmt.Errorf("%w: a verifier needs an id of 8 to 64 characters and a bound of at most %v", ErrBadRequest, i.opts.MaxBound)
	}
	q := &question{Follow: f, i: i, asked: i.opts.Now(), due: i.feed.due(min(f.Wait, maxWait))}
	i.leases.ask(f, q.asked)
	return q, nil
}

// first is the first page of the answer. It alone is a lease: of the pages that follow in
// the same answer none lets the verifier go on for longer, and each may be lost on its
// way, so what it says counts when the verifier asks for what comes after it.
func (q *question) first(ctx context.Context) (*shared, error) {
	p, err := q.answer(ctx, nil)
	if err != nil || !p.Complete() {
		q.i.leases.withdraw(q.Follow, q.asked)
		return p, err
	}
	q.i.leases.grant(q.Follow, q.asked, p.Upto)
	return p, nil
}

// Head reads the head of the log from the store: whoever can do that can answer.
func (i *Issuer) Head(ctx context.Context) (counterfoil.Cursor, error) { return i.head(ctx) }

// answer is the next page, after the wait that is asked for; or nil as soon as hurry
// closes.
func (q *question) answer(ctx context.Context, hurry <-chan struct{}) (*shared, error) {
	i := q.i
	for begun := false; ; begun = true {
		var p *shared
		var err error
		if q.Wait > 0 && !begun {
			p, err = i.feed.await(ctx, q.After, q.due, hurry)
		} else {
			p, err = i.feed.read(ctx, q.After)
		}
		if err != nil {
			return nil, unavailable(err)
		}
		if p == nil || !p.Head.Before(q.After) {
			return p, nil
		}
		// A verifier has seen entries that this store has not: it was restored from
		// a backup, or lost its tail. That must be shown, or whoever may read the
		// log could end every session by making up a cursor.
		if !hmac.Equal([]byte(q.Proof), []byte(i.proof(q.After))) {
			return nil, fmt.Errorf("%w: cursor beyond the head, without the proof that came with it", ErrBadRequest)
		}
		err = i.beginAnew(ctx, "a verifier has seen entries that the store has not")
		if err != nil && !errors.Is(err, store.ErrConflict) { // another verifier said so too
			return nil, unavailable(err)
		}
	}
}

// page reads what comes after a cursor, and the head, from the store.
func (i *Issuer) page(ctx context.Context, after counterfoil.Cursor) (source.Page, error) {
	entries, head, err := i.store.Log(ctx, after, pageSize)
	if i.mended(ctx, err) {
		entries, head, err = i.store.Log(ctx, after, pageSize)
	}
	if err != nil {
		return source.Page{}, err
	}
	p := source.Page{Entries: entries, After: after, Upto: head, Head: head, Time: i.opts.Now()}
	if after.Epoch != head.Epoch {
		p.After = counterfoil.Cursor{Epoch: head.Epoch}
	}
	if len(entries) == pageSize {
		p.Upto = entries[len(entries)-1].At
	}
	p.Proof = i.proof(p.Upto)
	return p, nil
}

// proof shows that this issuer, or another on the same keyring, was at c.
func (i *Issuer) proof(c counterfoil.Cursor) string {
	m := hmac.New(sha256.New, i.proofKey)
	m.Write([]byte(c.String()))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// beginAnew starts another log for a store that has lost entries which were
// acknowledged. What they revoked must not come back, and nobody can say what that
// was: so no copy made under the old log counts any longer (REV-09), and no session
// that the store still has, whose refresh token would make another copy of it.
//
// Keys that were revoked may be back like everything else. If they are in that store all
// of them are replaced, which costs nobody anything: nothing that they signed counts.
func (i *Issuer) beginAnew(ctx context.Context, reason string) error {
	rev, err := i.cutoff(ctx)
	if err != nil {
		return err
	}
	note := audit.Act{Reason: reason}.Entry(audit.NewEpoch, "")
	b := store.Batch{NewEpoch: true, Put: []store.Record{{Key: cutoffKey, Rev: rev, Value: []byte("{}")}}}
	if i.keys.In(i.store) {
		ring, gone, err := i.keys.Replace(ctx)
		if err != nil && !errors.Is(err, keyring.ErrConfigured) { // whoever shares that secret sets another
			return err
		}
		if err == nil {
			b.Put, note.Detail = append(b.Put, ring), fmt.Sprintf("keys_replaced=%d", len(gone))
		}
		for _, kid := range gone {
			b.Revoke = append(b.Revoke, newEntry(source.ScopeKey, kid, "the store was put back", i.opts.Now()))
		}
	}
	if _, err = i.audit.Commit(ctx, i.store, b, note); err != nil {
		return err
	}
	_ = i.reload(ctx) // without it, whoever applies the entries does
	i.newSigner()
	return nil
}

// Remember tells the issuer the latest head that an earlier process saw, before anything
// is served. A store that is behind it was put back while nobody ran: what was revoked
// since may be alive in its rows, so a new epoch begins and every session ends (REV-09).
func (i *Issuer) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	err := i.store.Remember(ctx, seen)
	if errors.Is(err, store.ErrLost) {
		err = i.beginAnew(ctx, "the store is not where it was when this node stopped: a backup was restored")
		if errors.Is(err, store.ErrConflict) { // another node found out, too
			err = nil
		}
	}
	return unavailable(err)
}

// mended reports whether err is that the store has lost what it had acknowledged, and a
// new epoch has begun: the caller tries again.
func (i *Issuer) mended(ctx context.Context, err error) bool {
	if !errors.Is(err, store.ErrLost) {
		return false
	}
	err = i.beginAnew(ctx, "the store has lost what it had acknowledged")
	return err == nil || errors.Is(err, store.ErrConflict) // somebody else found out, too
}

// commitNoted is Trail.Commit on the store of the sessions, which is mended if need be.
func (i *Issuer) commitNoted(ctx context.Context, b store.Batch, notes ...audit.Entry) (counterfoil.Cursor, error) {
	head, err := i.audit.Commit(ctx, i.store, b, notes...)
	if i.mended(ctx, err) {
		head, err = i.audit.Commit(ctx, i.store, b, notes...)
	}
	return head, err
}

// WaitAll returns true when no verifier accepts what the entry at covers: each
// has applied it, or may no longer be fresh. It takes at most the largest bound; and
// that long just after a start, because verifiers that followed before are not known,
// and on a shared store, because those that follow with another process are not (4.7).
// Verifiers that serve stale on purpose are not waited for: StaleVerifiers lists those
// that follow with this issuer.
func (i *Issuer) WaitAll(ctx context.Context, at counterfoil.Cursor) (bool, error) {
	defer i.leases.hurry()()
	unknown := i.started
	if !i.store.Describe().Exclusive {
		unknown = i.opts.Now() // at was committed before: who hears nothing from here on is not fresh for longer
	}
	unknown = unknown.Add(i.opts.MaxBound + time.Duration(float64(i.opts.MaxBound)*rho))
	for {
		now := i.opts.Now()
		until, moved := i.leases.waiting(at, now)
		if now.Before(unknown) && until.Before(unknown) {
			until = unknown
		}
		if until.IsZero() {
			return true, nil
		}
		timer := time.NewTimer(until.Sub(now) + time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-moved:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// StaleVerifiers returns the ids of the verifiers that follow as ServeStale.
func (i *Issuer) StaleVerifiers() []string {
	i.leases.mu.Lock()
	defer i.leases.mu.Unlock()
	var ids []string
	for id, v := range i.leases.by {
		if v.serveStale {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
