package revlog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// openLater opens a log long before the test begins, so that WaitAll knows every verifier.
func openLater(t *testing.T) (*side, *storetest.FaultyStore) {
	t.Helper()
	s := storetest.Faulty(memory.New())
	l := open(t, s)
	time.Sleep(2 * maxBound)
	return l, s
}

// wait=all costs at most the bound, also for a verifier whose questions arrive and
// whose answers do not: what it is told in vain lets it accept nothing (4.7).
func TestWaitAllOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		heard, err := l.feed.Page(t.Context(), source.Follow{Verifier: "verifier-1", Bound: maxBound})
		if err != nil {
			t.Fatal(err)
		}
		at := l.revoke(t)
		ctx, stop := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		defer asking.Wait()
		defer stop()
		asking.Go(func() {
			for ctx.Err() == nil {
				_, _ = l.feed.Page(ctx, source.Follow{After: heard.Upto, Verifier: "verifier-1", Bound: maxBound})
				time.Sleep(time.Second)
			}
		})
		begun := time.Now()
		if ok, err := l.feed.WaitAll(t.Context(), at); !ok || err != nil {
			t.Fatalf("WaitAll = %v, %v", ok, err)
		}
		took := time.Since(begun)
		if took < maxBound || took > maxBound+maxBound/100 {
			t.Errorf("WaitAll took %v, want the bound of %v", took, maxBound)
		}
	})
}

// shared is a store that other processes have open, too.
type shared struct{ store.Store }

func (s shared) Describe() store.Description {
	is := s.Store.Describe()
	is.Exclusive = false
	return is
}

// What follows with another process is not known here: it is waited for as long as it
// could be fresh, however well those that are known have acknowledged (4.7).
func TestWaitAllOnASharedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := shared{memory.New()}
		both := []*side{open(t, db), open(t, db)}
		time.Sleep(2 * maxBound)
		for n, id := range []string{"verifier-1", "verifier-2"} {
			if _, err := both[n].feed.Page(t.Context(), source.Follow{Verifier: id, Bound: maxBound}); err != nil {
				t.Fatal(err)
			}
		}
		fresh := time.Now().Add(maxBound)
		at := both[0].revoke(t)
		if _, err := both[0].feed.Page(t.Context(), source.Follow{After: at, Verifier: "verifier-1", Bound: maxBound}); err != nil {
			t.Fatal(err)
		}
		if ok, err := both[0].feed.WaitAll(t.Context(), at); !ok || err != nil {
			t.Fatalf("WaitAll = %v, %v", ok, err)
		}
		if time.Now().Before(fresh) {
			t.Errorf("WaitAll returned %v before the verifier of the other node is stale", time.Until(fresh))
		}
	})
}

// A page that was read before an entry, and is answered after it, lets a verifier
// accept: wait=all knows of it while it is on its way, also from one that never
// followed before.
func TestWaitAllKnowsOfQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := openLater(t)
		read, written := make(chan struct{}), make(chan struct{})
		s.Inject(storetest.Fault{Op: storetest.OpLog, Slow: true, Times: 1, Before: func() {
			close(read)
			<-written
		}})
		answered := make(chan source.Page, 1)
		go func() {
			page, err := l.feed.Page(t.Context(), source.Follow{Verifier: "verifier-2", Bound: maxBound})
			if err != nil {
				t.Error(err)
			}
			answered <- page
		}()
		<-read
		at := l.revoke(t)
		waited := make(chan time.Duration, 1)
		begun := time.Now()
		go func() {
			if ok, err := l.feed.WaitAll(t.Context(), at); !ok || err != nil {
				t.Errorf("WaitAll = %v, %v", ok, err)
			}
			waited <- time.Since(begun)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("WaitAll returned while a page was on its way that may not have the entry")
		default:
		}
		close(written) // the page is read now, and has the entry: the verifier that gets it refuses
		if page := <-answered; page.Upto != at {
			t.Fatalf("page up to %v, want %v", page.Upto, at)
		}
		if took := <-waited; took > 0 {
			t.Errorf("WaitAll took %v beyond the answer", took)
		}
	})
}

// What a verifier was told in pieces, the last of them in vain, does not make it
// fresh for longer than what it heard.
func TestWaitAllAcknowledgedInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		follow := func(after counterfoil.Cursor) source.Page {
			page, err := l.feed.Page(t.Context(), source.Follow{After: after, Verifier: "verifier-3", Bound: maxBound})
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		heard := follow(counterfoil.Cursor{})
		time.Sleep(maxBound / 2)
		first := l.revoke(t)
		follow(heard.Upto) // lost
		second := l.revoke(t)
		for _, at := range []counterfoil.Cursor{first, second} {
			ctx, cancel := context.WithTimeout(t.Context(), maxBound/4)
			if ok, err := l.feed.WaitAll(ctx, at); ok || err == nil {
				t.Errorf("WaitAll(%v) = %v, %v while the first page is good", at, ok, err)
			}
			cancel()
		}
		begun := time.Now()
		follow(first) // it has heard of the first after all
		if ok, err := l.feed.WaitAll(t.Context(), first); !ok || err != nil || time.Since(begun) > 0 {
			t.Errorf("WaitAll(first) = %v, %v after %v, want at once", ok, err, time.Since(begun))
		}
	})
}

// A thief of a feed key can make up verifiers, up to a bound, and cannot speak for those
// that follow with another key: wait=all goes on to wait for them.
func TestVerifiersOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		follow := func(key string, n int) error {
			_, err := l.feed.Page(t.Context(), source.Follow{Key: key, Verifier: fmt.Sprintf("verifier-%d", n), Bound: maxBound})
			return err
		}
		if err := follow("honest", 1); err != nil {
			t.Fatal(err)
		}
		const most = 4096
		refused := 0
		for n := range most + 100 {
			err := follow("thief", n)
			if p, is := errors.AsType[*source.Problem](err); is && p.Status == http.StatusTooManyRequests && p.RetryAfter > 0 {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if refused != 100 {
			t.Errorf("%d verifiers of one key were refused, want 100", refused)
		}
		if err := errors.Join(follow("honest", 1), follow("honest", 2), follow("thief", 7)); err != nil {
			t.Errorf("those that may follow: %v", err)
		}
		time.Sleep(2 * maxBound)
		if err := errors.Join(follow("honest", 1), follow("thief", 1)); err != nil {
			t.Fatal(err)
		}
		at := l.revoke(t)
		for n := range 2 { // says that all of its verifiers, of the same names, have it
			_, err := l.feed.Page(t.Context(), source.Follow{Key: "thief", After: at, Verifier: fmt.Sprintf("verifier-%d", n), Bound: maxBound})
			if err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		if ok, err := l.feed.WaitAll(t.Context(), at); !ok || err != nil || time.Since(begun) < maxBound {
			t.Errorf("WaitAll = %v, %v after %v: another key has spoken for a verifier", ok, err, time.Since(begun))
		}
		time.Sleep(2 * maxBound)
		if err := follow("thief", most+1); err != nil {
			t.Errorf("when the others are gone: %v", err)
		}
	})
}
