package issuer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storetest"
)

const leaseBound = 10 * time.Second

// leaseIssuer is an issuer by the bubble's clock, long after its start.
func leaseIssuer(t *testing.T) (*issuer.Issuer, *storetest.FaultyStore) {
	t.Helper()
	s := storetest.Faulty(memory.New())
	keys, err := keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(t.Context(), issuer.Options{Store: s, Keys: keys, URL: "https://auth.test"})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * leaseBound)
	return i, s
}

func revokeSomething(t *testing.T, i *issuer.Issuer) counterfoil.Cursor {
	t.Helper()
	receipt, err := i.Revoke(t.Context(), source.ScopeToken, "tok_1", audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.At
}

// wait=all costs at most the bound, also for a verifier whose questions arrive and
// whose answers do not: what it is told in vain lets it accept nothing (4.7).
func TestWaitAllOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := leaseIssuer(t)
		heard, err := i.Log(t.Context(), source.Follow{Verifier: "verifier-1", Bound: leaseBound})
		if err != nil {
			t.Fatal(err)
		}
		at := revokeSomething(t, i)
		ctx, stop := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		defer asking.Wait()
		defer stop()
		asking.Go(func() {
			for ctx.Err() == nil {
				_, _ = i.Log(ctx, source.Follow{After: heard.Upto, Verifier: "verifier-1", Bound: leaseBound})
				time.Sleep(time.Second)
			}
		})
		begun := time.Now()
		if ok, err := i.WaitAll(t.Context(), at); !ok || err != nil {
			t.Fatalf("WaitAll = %v, %v", ok, err)
		}
		took := time.Since(begun)
		if took < leaseBound || took > leaseBound+leaseBound/100 {
			t.Errorf("WaitAll took %v, want the bound of %v", took, leaseBound)
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
		both := make([]*issuer.Issuer, 2)
		for n := range both {
			keys, err := keyring.Open(t.Context(), keyring.Options{Store: db, SealKey: [32]byte{1}})
			if err != nil {
				t.Fatal(err)
			}
			if both[n], err = issuer.New(t.Context(), issuer.Options{Store: db, Keys: keys, URL: "https://auth.test"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * leaseBound)
		for n, id := range []string{"verifier-1", "verifier-2"} {
			if _, err := both[n].Log(t.Context(), source.Follow{Verifier: id, Bound: leaseBound}); err != nil {
				t.Fatal(err)
			}
		}
		fresh := time.Now().Add(leaseBound)
		at := revokeSomething(t, both[0])
		if _, err := both[0].Log(t.Context(), source.Follow{After: at, Verifier: "verifier-1", Bound: leaseBound}); err != nil {
			t.Fatal(err)
		}
		if ok, err := both[0].WaitAll(t.Context(), at); !ok || err != nil {
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
		i, s := leaseIssuer(t)
		read, written := make(chan struct{}), make(chan struct{})
		s.Inject(storetest.Fault{Op: storetest.OpLog, Slow: true, Times: 1, Before: func() {
			close(read)
			<-written
		}})
		answered := make(chan source.Page, 1)
		go func() {
			page, err := i.Log(t.Context(), source.Follow{Verifier: "verifier-2", Bound: leaseBound})
			if err != nil {
				t.Error(err)
			}
			answered <- page
		}()
		<-read
		at := revokeSomething(t, i)
		waited := make(chan time.Duration, 1)
		begun := time.Now()
		go func() {
			if ok, err := i.WaitAll(t.Context(), at); !ok || err != nil {
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
		close(written) // the page is read now, and has the entry: whoever gets it refuses
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
		i, _ := leaseIssuer(t)
		follow := func(after counterfoil.Cursor) source.Page {
			page, err := i.Log(t.Context(), source.Follow{After: after, Verifier: "verifier-3", Bound: leaseBound})
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		heard := follow(counterfoil.Cursor{})
		time.Sleep(leaseBound / 2)
		first := revokeSomething(t, i)
		follow(heard.Upto) // lost
		second := revokeSomething(t, i)
		for _, at := range []counterfoil.Cursor{first, second} {
			ctx, cancel := context.WithTimeout(t.Context(), leaseBound/4)
			if ok, err := i.WaitAll(ctx, at); ok || err == nil {
				t.Errorf("WaitAll(%v) = %v, %v while the first page is good", at, ok, err)
			}
			cancel()
		}
		begun := time.Now()
		follow(first) // it has heard of the first after all
		if ok, err := i.WaitAll(t.Context(), first); !ok || err != nil || time.Since(begun) > 0 {
			t.Errorf("WaitAll(first) = %v, %v after %v, want at once", ok, err, time.Since(begun))
		}
	})
}

// REV-09: a store that has lost what a verifier has seen begins another log, once,
// and none of its sessions lives on: any of them may have been revoked.
func TestStoreThatLostItsTail(t *testing.T) {
	for _, carrier := range carriers {
		b := newIssuer(t, memory.New())
		got := b.login(t, "alice", carrier)
		page, err := b.Log(t.Context(), source.Follow{})
		if err != nil {
			t.Fatal(err)
		}
		ahead := counterfoil.Cursor{Epoch: page.Head.Epoch, Seq: page.Head.Seq + 1}
		if _, err := b.Log(t.Context(), source.Follow{After: ahead, Proof: page.Proof}); !errors.Is(err, issuer.ErrBadRequest) {
			t.Errorf("Log(made up cursor) = %v, want ErrBadRequest", err)
		}
		if _, err := b.Lookup(t.Context(), got.Access.Reveal()); err != nil {
			t.Errorf("%v: a made up cursor ended the session: %v", carrier, err)
		}
		var epochs []uint64
		for range 2 { // two verifiers say so
			page, err = b.Log(t.Context(), source.Follow{After: ahead, Proof: b.Proof(ahead)})
			if err != nil {
				t.Fatal(err)
			}
			epochs = append(epochs, page.Head.Epoch)
		}
		if epochs[0] == ahead.Epoch || epochs[1] != epochs[0] {
			t.Errorf("%v: epochs %x, want one other than %x", carrier, epochs, ahead.Epoch)
		}
		if _, err := b.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%v: Lookup = %v, want ErrInvalidToken", carrier, err)
		}
		if refresh := got.Refresh.Reveal(); refresh != "" {
			if _, err := b.Refresh(t.Context(), refresh, issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%v: Refresh = %v, want ErrInvalidToken", carrier, err)
			}
		}
		if _, err := b.Lookup(t.Context(), b.login(t, "alice", carrier).Access.Reveal()); err != nil {
			t.Errorf("%v: a login under the new log: %v", carrier, err)
		}
	}
}

// REV-09: a backup is put back, and no verifier is there to say what it had seen. The
// first token that is younger than the log says it, and nothing of before comes back.
func TestBackupPutBack(t *testing.T) {
	path, backup := filepath.Join(t.TempDir(), "db"), filepath.Join(t.TempDir(), "db")
	open := func() (*bench, func()) {
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return newIssuer(t, s), func() {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	copyTo := func(from, to string) {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, shut := open()
	cookie, bearer := b.login(t, "alice", counterfoil.CarrierCookie), b.login(t, "alice", counterfoil.CarrierBearer)
	shut()
	copyTo(path, backup)
	b, shut = open()
	if _, err := b.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{}); err != nil {
		t.Fatal(err)
	}
	younger := b.login(t, "bob", counterfoil.CarrierBearer)
	shut()
	copyTo(backup, path)
	b, shut = open()
	defer shut()
	if _, err := b.Lookup(t.Context(), younger.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Lookup of a token that is younger than the log = %v, want ErrInvalidToken", err)
	}
	for name, credential := range map[string]string{"cookie": cookie.Access.Reveal(), "bearer": bearer.Access.Reveal()} {
		if _, err := b.Lookup(t.Context(), credential); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("Lookup of a %s that was revoked after the backup = %v, want ErrInvalidToken", name, err)
		}
	}
	if _, err := b.Refresh(t.Context(), bearer.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Refresh of what was revoked after the backup = %v, want ErrInvalidToken", err)
	}
	if _, err := b.Lookup(t.Context(), b.login(t, "alice", counterfoil.CarrierBearer).Access.Reveal()); err != nil {
		t.Errorf("a login under the new log: %v", err)
	}
}
