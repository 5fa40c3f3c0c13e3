package storebench

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
)

// SearchTrail measures each search of the audit trail on s, with as many entries as the flag
// storebench.searched says, of 60 days. First it reads all of them. It reports
// the same as [Search]. Accounts have some ten entries each. The entries are:
//
//	70 %      logins
//	15 %      logouts
//	15 %      refused logins, by callers who are not known
//	a 1000th  revocations by one API key
//	2         rotations of a key: the oldest entry and the one in the middle
func SearchTrail(b *testing.B, s store.Store) {
	n := *searched
	now := time.Now().UTC().Truncate(time.Second)
	began := now.Add(-60 * 24 * time.Hour)
	at := func(of int64) time.Time {
		return began.Add(time.Duration(float64(now.Sub(began)) * float64(of) / float64(n)))
	}
	counted := &counted{Store: s}
	trail, err := audit.New(audit.Options{Store: counted, Hook: func(audit.Entry) {}, Now: func() time.Time { return now }})
	check(b, err)
	for from := int64(0); from < n; {
		var some []audit.Entry
		for ; from < n && len(some) < 1000; from++ {
			e := entryOf(from, n)
			e.Time = at(from)
			some = append(some, e)
		}
		_, err := trail.Commit(b.Context(), s, store.Batch{}, some...)
		check(b, err)
	}

	reading := timed1(b, func() error {
		read := int64(0)
		for q := (audit.Query{Limit: 1000}); ; {
			page, next, err := trail.List(b.Context(), q)
			if read += int64(len(page)); err == nil && next == "" && read != n {
				err = fmt.Errorf("%d entries, want %d", read, n)
			}
			if err != nil || next == "" {
				return err
			}
			q.After = next
		}
	})
	list := func(what string, f func(n int64) audit.Query) {
		pages(b, what, reading, func(at int64) (int, error) {
			q := f(at)
			q.Limit = 50
			counted.read = 0
			_, _, err := trail.List(b.Context(), q)
			return counted.read, err
		})
	}
	_, _, someone := ids(n / 2 % accounts(n))
	rotated := []audit.Action{audit.RotateKey}
	list("all", func(int64) audit.Query { return audit.Query{} })
	list("to the middle", func(int64) audit.Query { return audit.Query{To: at(n / 2)} })
	list("to anywhere", func(page int64) audit.Query { return audit.Query{To: at(page * 7919 % n)} })
	list("from and to", func(int64) audit.Query { return audit.Query{From: at(n / 4), To: at(n/4 + n/1000)} })
	list("action", func(int64) audit.Query { return audit.Query{Actions: []audit.Action{audit.Logout}} })
	list("action, rare", func(int64) audit.Query { return audit.Query{Actions: rotated} })
	list("action, rare, to the middle", func(int64) audit.Query { return audit.Query{Actions: rotated, To: at(n / 2)} })
	list("action, rare, to anywhere", func(page int64) audit.Query { return audit.Query{Actions: rotated, To: at(page * 7919 % n)} })
	list("outcome", func(int64) audit.Query { return audit.Query{Outcomes: []audit.Outcome{audit.Refused}} })
	list("outcome, none", func(int64) audit.Query { return audit.Query{Outcomes: []audit.Outcome{audit.Unknown}} })
	list("by a key", func(int64) audit.Query { return audit.Query{By: audit.ByKey("support")} })
	list("by a person", func(int64) audit.Query { return audit.Query{By: audit.BySubject(someone)} })
	list("by nobody", func(int64) audit.Query { return audit.Query{By: audit.ByKey("absent")} })
	list("subject", func(page int64) audit.Query {
		_, _, id := ids(page * 7919 % accounts(n))
		return audit.Query{Subject: id}
	})
	list("subject, action and time", func(page int64) audit.Query {
		_, _, id := ids(page * 7919 % accounts(n))
		return audit.Query{Subject: id, Actions: []audit.Action{audit.Logout}, From: at(n / 4), To: at(n / 2)}
	})
}

func accounts(entries int64) int64 { return max(entries/10, 1) }

func entryOf(n, all int64) audit.Entry {
	session, _, subject := ids(n % accounts(all))
	address := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	act := audit.Act{By: audit.BySubject(subject), Address: address, Request: fmt.Sprintf("%026d", n)}
	e := act.Entry(audit.Login, subject)
	e.Client, e.Session, e.Detail = "default", session, "carrier=bearer method=pwd"
	switch {
	case n == 0, n == all/2:
		e.Action, e.Subject, e.By = audit.RotateKey, "", audit.ByIssuer
	case n%1000 == 500:
		e.Action, e.By = audit.Revoke, audit.ByKey("support")
	case n%20 < 3:
		e.Action = audit.Logout
	case n%20 < 6:
		e.Outcome, e.Subject, e.By, e.Session = audit.Refused, "", audit.ByUnknown, ""
	}
	return e
}

// counted is a store that counts the records that lists yielded.
type counted struct {
	store.Store
	read int
}

func (c *counted) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for r, err := range c.Store.List(ctx, kind, owner, after) {
			c.read++
			if !yield(r, err) {
				return
			}
		}
	}
}
