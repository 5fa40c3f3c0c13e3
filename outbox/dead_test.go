package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// A flood of what cannot be delivered does not fill the store: the oldest dead letters go. Those that were dropped are
// counted and in the log.
func TestDeadLettersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const kept, more = 10_000, 350
		s, r := memory.New(), newReceiver()
		trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}, Anchor: func(audit.Seal) {}})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		var died, dropped atomic.Int64
		o, err := outbox.New(outbox.Options{Store: s, Key: key, Audit: trail, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), Hook: func(told outbox.Told) {
			switch told {
			case outbox.Told{Kind: "mail", Outcome: outbox.Died}:
				died.Add(1)
			case outbox.Told{Kind: "mail", Outcome: outbox.Dropped}:
				dropped.Add(1)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, o, outbox.Draft{Kind: "alert", About: "the oldest"})
		r.fail(func(outbox.Item) error { return &outbox.Failure{Reason: "refused", Permanent: true} })
		o.Handle("mail", r.deliver)
		o.Handle("alert", r.deliver)
		start(t, o)
		pass(time.Second)
		for part := range (kept + more) / 50 {
			var drafts []outbox.Draft
			for range 50 {
				d := draft("x")
				d.About = fmt.Sprint("part ", part)
				drafts = append(drafts, d)
			}
			put(t, s, o, drafts...)
			pass(time.Second)
		}
		pass(time.Minute)
		n, alerts, oldest := 0, 0, ""
		for rec, err := range s.List(t.Context(), "outbox", "dead", "") {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(rec.Value), "the oldest") {
				alerts++
				continue
			}
			n, oldest = n+1, string(rec.Value)
		}
		if alerts != 1 {
			t.Error("the dead letter of another kind is gone")
		}
		if lost := int(dropped.Load()); died.Load() != kept+more || n < kept || n >= kept+100 || n+lost != kept+more {
			t.Errorf("%d of %d are kept, and %d were dropped", n, died.Load(), lost)
		}
		if !strings.Contains(oldest, `"part `+fmt.Sprint((kept+more-n)/50)+`"`) {
			t.Errorf("the oldest is %s", oldest)
		}
		if !strings.Contains(log.String(), "the oldest dead letters were dropped") {
			t.Error("the log does not say that letters were dropped")
		}
	})
}

// An outage of the store is one for who lists and changes letters.
func TestOutageOfLists(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			failing := storetest.Faulty(s)
			o := open(t, failing)
			for _, op := range []storetest.Op{storetest.OpList, storetest.OpCount, storetest.OpSearch, storetest.OpGet, storetest.OpCommit} {
				failing.Inject(storetest.Fault{Op: op})
			}
			_, _, listed := o.List(t.Context(), outbox.Dead, "", 1)
			_, counted := o.Counts(t.Context())
			for what, err := range map[string]error{
				"List": listed, "Counts": counted,
				"Redeliver": o.Redeliver(t.Context(), rights.Owner(), strings.Repeat("0", 32), audit.Act{}), "Drop": o.Drop(t.Context(), rights.Owner(), strings.Repeat("0", 32), audit.Act{}),
			} {
				if !errors.Is(err, counterfoil.ErrUnavailable) {
					t.Errorf("%s = %v, want ErrUnavailable", what, err)
				}
			}
		})
	}
}
