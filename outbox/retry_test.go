package outbox_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// A delivery that fails is tried after a second, two, four and so on up to an hour, for a day. Then it
// is a dead letter, and an administrator can have it delivered, under the same id.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fail(func(outbox.Item) error { return &outbox.Failure{Reason: "451 later"} })
		o.Handle("mail", r.deliver)
		begun := time.Now()
		put(t, s, o, draft("code"))
		stop := start(t, o)
		pass(25 * time.Hour)
		wait := time.Second
		for n := 1; n < len(r.at)-1; n++ {
			if took := r.at[n].Sub(r.at[n-1]); took < wait*3/4 || took > wait+time.Millisecond {
				t.Errorf("try %d came %s after the one before: want %s to %s", n+1, took, wait*3/4, wait)
			}
			wait = min(2*wait, time.Hour)
		}
		if last := r.at[len(r.at)-1].Sub(begun); last < 24*time.Hour || last > 24*time.Hour+time.Second || len(r.at) < 30 {
			t.Errorf("%d tries, the last after %s", len(r.at), last)
		}
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 1 || dead[0].Reason != "451 later" || dead[0].Tries != len(r.at) || dead[0].About != "test" || dead[0].Useless || len(entries(t, o, outbox.Waiting)) != 0 {
			t.Fatalf("dead: %+v", dead)
		}
		if c, err := o.Counts(t.Context()); err != nil || c.Dead != 1 || c.Waiting != 0 || !c.Oldest.IsZero() {
			t.Errorf("%+v, %v", c, err)
		}
		r.fail(nil)
		if err := o.Redeliver(t.Context(), rights.Owner(), dead[0].ID, audit.Act{By: "subject:root"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.got["code"] != 1 || len(r.ids) != 1 || len(entries(t, o, outbox.Dead)) != 0 {
			t.Errorf("got %v under %v", r.got, r.ids)
		}
		if err := o.Redeliver(t.Context(), rights.Owner(), dead[0].ID, audit.Act{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a letter that is gone: %v", err)
		}
		stop()
	})
}

// A dead letter is kept for 30 days.
func TestDeadIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fail(func(outbox.Item) error { return &outbox.Failure{Reason: "550 no", Permanent: true} })
		o.Handle("mail", r.deliver)
		put(t, s, o, draft("a"), draft("b"))
		stop := start(t, o)
		synctest.Wait()
		dead := entries(t, o, outbox.Dead)
		if len(r.at) != 2 || len(dead) != 2 {
			t.Fatalf("%d tries, %+v", len(r.at), dead)
		}
		if err := o.Drop(t.Context(), rights.Owner(), dead[0].ID, audit.Act{By: "subject:root"}); err != nil || len(entries(t, o, outbox.Dead)) != 1 {
			t.Error(err)
		}
		if err := o.Drop(t.Context(), rights.Owner(), dead[0].ID, audit.Act{By: "subject:root"}); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		stop()
		for _, c := range []struct {
			after time.Duration
			left  int
		}{{30*24*time.Hour - time.Minute, 1}, {2 * time.Minute, 0}} {
			pass(c.after)
			if _, err := s.Sweep(t.Context(), time.Now()); err != nil || len(entries(t, o, outbox.Dead)) != c.left {
				t.Errorf("after %s: %v", c.after, err)
			}
		}
		found := 0
		for rec, err := range s.List(t.Context(), "audit", "*", "") {
			if err == nil && bytes.Contains(rec.Value, []byte(`"outbox.drop"`)) && bytes.Contains(rec.Value, []byte(`"subject:root"`)) && bytes.Contains(rec.Value, []byte(dead[0].ID)) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d audit entries say that a letter was dropped", found)
		}
	})
}

// What is of no use any more is not delivered, not kept, and cannot be delivered again.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fail(func(outbox.Item) error { return &outbox.Failure{Reason: "451 later"} })
		o.Handle("mail", r.deliver)
		d := draft("a code that is good for ten minutes")
		d.Expires = time.Now().Add(10 * time.Minute)
		put(t, s, o, d)
		stop := start(t, o)
		pass(9 * time.Minute)
		stop()
		r.fail(nil)
		pass(2 * time.Minute)
		start(t, o)
		pass(time.Hour)
		if len(r.got) != 0 {
			t.Error("a code was delivered after its time")
		}
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 1 || !dead[0].Useless {
			t.Fatalf("%+v", dead)
		}
		if err := o.Redeliver(t.Context(), rights.Owner(), dead[0].ID, audit.Act{}); !errors.Is(err, outbox.ErrExpired) {
			t.Error(err)
		}
		for rec := range s.List(t.Context(), "outbox", "*", "") {
			if bytes.Contains(rec.Value, []byte(`"sealed"`)) {
				t.Errorf("kept: %s", rec.Value)
			}
		}
	})
}

// A backup that is restored sends nothing that is older than the time in which it would have been sent, and a day.
func TestRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		o.Handle("mail", r.deliver)
		put(t, s, o, draft("old"))
		pass(retry.For + 23*time.Hour)
		put(t, s, o, draft("new"))
		pass(2 * time.Hour)
		start(t, o)
		pass(time.Minute)
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 1 || dead[0].Reason != "it was not delivered in time" || r.got["old"] != 0 || r.got["new"] != 1 {
			t.Errorf("%+v, delivered %v", dead, r.got)
		}
		if err := o.Redeliver(t.Context(), rights.Owner(), dead[0].ID, audit.Act{By: "test"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if r.got["old"] != 1 {
			t.Error("somebody asked for it, and it was not sent")
		}
	})
}
