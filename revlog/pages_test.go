package revlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// record is a page as it was sent, and whether it was said to be the last.
type record struct {
	source.Page
	last bool
}

// question asks once, and returns what has been sent.
func question(t *testing.T, ctx context.Context, l *side, f source.Follow, got func(record) error) error {
	t.Helper()
	f.Verifier, f.Bound = "verifier-1", maxBound
	return l.feed.Pages(ctx, f, begin, func(text []byte, last bool) error {
		if text[0] != 0x1e || text[len(text)-1] != '\n' {
			t.Errorf("%q is no record of RFC 7464", text)
		}
		r := record{last: last}
		if err := json.Unmarshal(text[1:len(text)-1], &r.Page); err != nil {
			t.Error(err)
		}
		return got(r)
	})
}

// One question is answered with each page as soon as it is there, until its wait is over;
// without news with the one that shows so.
func TestPagesOfOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []record
		begun, done := time.Now(), make(chan error)
		ask := func() {
			done <- question(t, t.Context(), l, source.Follow{After: head, Wait: time.Second}, func(r record) error {
				got = append(got, r)
				return nil
			})
		}
		go ask()
		for n := range 2 {
			synctest.Wait()
			at := l.revoke(t)
			synctest.Wait()
			if len(got) != n+1 || got[n].After != head || got[n].Upto != at || got[n].last || len(got[n].Entries) != 1 {
				t.Fatalf("after revocation %d: %+v", n+1, got)
			}
			head = at
		}
		if err := <-done; err != nil || len(got) != 2 || time.Since(begun) > time.Second || time.Since(begun) < 900*time.Millisecond {
			t.Errorf("Pages = %v with %d pages after %v, want 2 after 1 s", err, len(got), time.Since(begun))
		}
		got = nil
		go ask()
		if err := <-done; err != nil || len(got) != 1 || !got[0].last || got[0].Upto != head {
			t.Errorf("Pages = %v with %+v, want one empty page, the last", err, got)
		}
	})
}

// wait=all needs no longer than questions take to travel: an answer that goes on ends, so
// that the next question shows what has arrived (4.7).
func TestWaitAllEndsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			var f source.Follow
			for ctx.Err() == nil {
				_ = question(t, ctx, l, f, func(r record) error {
					f.After, f.Proof, f.Wait = r.Upto, r.Proof, time.Second
					return nil
				})
			}
		}()
		for range 3 {
			synctest.Wait()
			l.revoke(t)
			synctest.Wait() // it has arrived, and the answer goes on
			at := l.revoke(t)
			begun := time.Now()
			if ok, err := l.feed.WaitAll(t.Context(), at); !ok || err != nil || time.Since(begun) > 0 {
				t.Errorf("WaitAll = %v, %v after %v", ok, err, time.Since(begun))
			}
		}
	})
}

// What follows the first page of an answer may be lost, and the verifier goes on with what
// it was told before: it is waited for until that is too old (4.7).
func TestLaterPageIsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		asked, sent := time.Now(), 0
		go func() {
			_ = question(t, t.Context(), l, source.Follow{After: head, Wait: 5 * time.Second}, func(record) error {
				if sent++; sent == 2 {
					return errors.New("the connection is gone")
				}
				return nil
			})
		}()
		var at counterfoil.Cursor
		for range 2 {
			time.Sleep(time.Second)
			at = l.revoke(t)
			synctest.Wait()
		}
		ok, err := l.feed.WaitAll(t.Context(), at)
		if took := time.Since(asked); !ok || err != nil || sent != 2 || took < maxBound || took > maxBound+maxBound/100 {
			t.Errorf("WaitAll = %v, %v: %v after the question, want the bound of %v", ok, err, took, maxBound)
		}
	})
}

// A feed that stops keeps nobody waiting: a question gets its page at once, also one that has got pages
// before.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begun, asked, got := time.Now(), make(chan error, 2), 0
		go func() {
			asked <- question(t, t.Context(), l, source.Follow{After: head, Wait: 20 * time.Second}, func(record) error { got++; return nil })
		}()
		synctest.Wait()
		at := l.revoke(t) // the question goes on
		go func() {
			_, err := l.feed.JSON(t.Context(), source.Follow{After: at, Wait: 20 * time.Second})
			asked <- err
		}()
		synctest.Wait()
		l.feed.Stop()
		l.feed.Stop()
		if err := errors.Join(<-asked, <-asked); err != nil || got != 1 {
			t.Errorf("questions: %v, %d pages", err, got)
		}
		if p, err := l.feed.Page(t.Context(), source.Follow{After: at, Wait: 20 * time.Second}); err != nil || !p.Complete() {
			t.Errorf("after the stop: %+v, %v", p, err)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("waited %v", took)
		}
	})
}

// A revocation that waits for verifiers is not confirmed when the feed stops.
func TestStopWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		if _, err := l.feed.Page(t.Context(), source.Follow{Verifier: "verifier-1", Bound: maxBound}); err != nil {
			t.Fatal(err)
		}
		at, begun, confirmed := l.revoke(t), time.Now(), make(chan bool)
		go func() {
			ok, err := l.feed.WaitAll(t.Context(), at)
			if err != nil {
				t.Error(err)
			}
			confirmed <- ok
		}()
		synctest.Wait()
		l.feed.Stop()
		if <-confirmed || time.Since(begun) > 0 {
			t.Errorf("confirmed, or waited %v", time.Since(begun))
		}
	})
}
