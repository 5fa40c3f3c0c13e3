package storebench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Rates measures sixteen callers of several nodes. A node is an issuer on the engine. There
// is one benchmark for each number of nodes. Each call of open returns the store of another
// node. Each figure is compared with the bare engine in the same run, where sixteen callers
// insert single rows. The nodes share the processors of this process. The time of a call:
//
//	reads/op, read-us/op      round trips that read the store, and their time
//	commits/op, commit-us/op  round trips that write, and their time
//	rest-us/op                the rest: signing, and waiting for a processor
func Rates(b *testing.B, raw Raw, open func(b *testing.B) store.Store, nodes ...int) {
	inserted := new(atomic.Int64)
	for _, n := range nodes {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			f := &fleet{raw: raw, inserted: inserted}
			for range n {
				f.join(b, open(b))
			}
			f.measure(b, nil)
		})
	}
}

// Growth measures one node on s with ten thousand, a hundred thousand and a million sessions.
// It reports x-first: the cost divided by the cost at the first of these sizes. Both costs are
// relative to an insert of the bare engine in the same run.
func Growth(b *testing.B, raw Raw, s store.Store) {
	f := &fleet{raw: raw, inserted: new(atomic.Int64)}
	f.join(b, s)
	all := newSessions(b, s, counterfoil.CarrierBearer)
	first := make(map[string]float64)
	var loaded int64
	for _, n := range []int64{least, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			all.load(b, s, loaded, n)
			loaded, f.small = n, n == least
			f.measure(b, first)
		})
	}
}

// fleet has several nodes on one engine.
type fleet struct {
	nodes    []*issuer.Issuer
	stores   []*timed
	raw      Raw
	inserted *atomic.Int64 // rows of raw
	signedIn atomic.Int64
	small    bool // the store has as few sessions as Growth begins with
}

const fleetCallers = 16

func (f *fleet) join(b *testing.B, s store.Store) {
	t := &timed{Store: s}
	f.stores = append(f.stores, t)
	f.nodes = append(f.nodes, newIssuer(b, t, time.Now))
}

// login signs one of a hundred thousand subjects in, few of which reach the limit of sessions. It hashes no password.
func (f *fleet) login(ctx context.Context, n int64) (*issuer.Issued, error) {
	subject := fmt.Sprint("usr_rates", n%100_000)
	return f.nodes[n%int64(len(f.nodes))].Login(ctx, login.Proof{Subject: subject, Methods: []string{"pwd"}, At: time.Now(), Roles: []string{"staff"}},
		issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: browsers[n%int64(len(browsers))]})
}

// logins makes n sessions for a benchmark to use.
func (f *fleet) logins(b *testing.B, n int) chan *issuer.Issued {
	b.Helper()
	made := make(chan *issuer.Issued, n)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range fleetCallers {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				issued, err := f.login(context.Background(), f.signedIn.Add(1))
				if err != nil {
					b.Error(err)
					return
				}
				made <- issued
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return made
}

// measure measures creating, refreshing and revoking. first has the cost of each in a small
// store: measure writes it there if the store is small, and compares with it otherwise.
func (f *fleet) measure(b *testing.B, first map[string]float64) {
	b.Run("create", func(b *testing.B) {
		f.compare(b, first, "create", func(ctx context.Context, n int64) error {
			_, err := f.login(ctx, n)
			return err
		})
	})
	b.Run("refresh", func(b *testing.B) {
		families := max(256, each(b, fleetCallers)*(1+turns)/20) // so that none is refreshed too often
		tokens := make(chan string, families)                    // one unused refresh token of each family
		for made := f.logins(b, families); len(made) > 0; {
			tokens <- (<-made).Refresh.Reveal()
		}
		f.compare(b, first, "refresh", func(ctx context.Context, n int64) error {
			got, err := f.nodes[n%int64(len(f.nodes))].Refresh(ctx, <-tokens, issuer.Renewal{})
			if err == nil {
				tokens <- got.Refresh.Reveal()
			}
			return err
		})
	})
	b.Run("revoke", func(b *testing.B) {
		made := f.logins(b, each(b, fleetCallers)*(1+turns))
		f.compare(b, first, "revoke", func(ctx context.Context, n int64) error {
			_, err := f.nodes[n%int64(len(f.nodes))].Revoke(ctx, source.ScopeSession, (<-made).Session.ID, audit.Act{})
			return err
		})
	})
}

func (f *fleet) compare(b *testing.B, first map[string]float64, name string, ours Op) {
	value := make([]byte, 400) // about the size of a session
	var calls, spent atomic.Int64
	for _, s := range f.stores {
		s.reads.reset()
		s.commits.reset()
	}
	cost := Compare(b, fleetCallers, fleetCallers, func(ctx context.Context, _ int64) error {
		return f.raw.Insert(ctx, fmt.Sprintf("raw_%032d", f.inserted.Add(1)), value)
	}, func(ctx context.Context, n int64) error {
		began := time.Now()
		err := ours(ctx, n)
		calls.Add(1)
		spent.Add(int64(time.Since(began)))
		return err
	})
	if first != nil && f.small {
		first[name] = cost // the last measurement replaces earlier ones
	}
	if first != nil && first[name] > 0 {
		b.ReportMetric(cost/first[name], "x-first")
	}
	var reads, commits, reading, committing float64
	for _, s := range f.stores {
		reads, reading = reads+float64(s.reads.calls.Load()), reading+float64(s.reads.spent.Load())
		commits, committing = commits+float64(s.commits.calls.Load()), committing+float64(s.commits.spent.Load())
	}
	n := float64(calls.Load())
	b.ReportMetric(reads/n, "reads/op")
	b.ReportMetric(commits/n, "commits/op")
	b.ReportMetric(reading/n/1e3, "read-us/op")
	b.ReportMetric(committing/n/1e3, "commit-us/op")
	b.ReportMetric((float64(spent.Load())-reading-committing)/n/1e3, "rest-us/op")
}

// timed is a store that measures how long its callers wait for it.
type timed struct {
	store.Store
	reads, commits tally
}

type tally struct{ calls, spent atomic.Int64 }

func (s *tally) reset() { s.calls.Store(0); s.spent.Store(0) }

func (s *tally) since(began time.Time) { s.calls.Add(1); s.spent.Add(int64(time.Since(began))) }

func (t *timed) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	defer t.reads.since(time.Now())
	return t.Store.Get(ctx, keys...)
}

func (t *timed) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	defer t.reads.since(time.Now())
	return t.Store.Log(ctx, after, limit)
}

func (t *timed) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	defer t.commits.since(time.Now())
	return t.Store.Commit(ctx, b)
}
