package issuer_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storetest"
)

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
			page, err = b.Log(t.Context(), source.Follow{After: ahead, Proof: b.pageProof(ahead)})
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

// Two verifiers show at once that the store has lost entries. One of them begins another
// log, and both get its page.
func TestLossIsFoundTwice(t *testing.T) {
	b, s := newFaulty(t)
	page, err := b.Log(t.Context(), source.Follow{})
	if err != nil {
		t.Fatal(err)
	}
	ahead := counterfoil.Cursor{Epoch: page.Head.Epoch, Seq: page.Head.Seq + 1}
	show := func() uint64 {
		page, err := b.Log(t.Context(), source.Follow{After: ahead, Proof: b.pageProof(ahead)})
		if err != nil {
			t.Errorf("Log = %v", err)
		}
		return page.Head.Epoch
	}
	var first uint64
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Times: 1, Slow: true, Before: func() { first = show() }})
	if second := show(); first == 0 || first == ahead.Epoch || second != first {
		t.Errorf("epochs %x and %x, want one other than %x", first, second, ahead.Epoch)
	}
}

// Another log has begun that this node has not read. Settings that it remembers from before
// make no copy, also under the same revision (REV-09).
func TestRefreshInAnotherEpoch(t *testing.T) {
	settings, sessions := memory.New(), memory.New()
	b := newIssuerOn(t, sessions, settings)
	web, _ := b.granted(t, "alice", counterfoil.CarrierBearer)
	rec, err := store.One(t.Context(), settings, store.Key{Kind: "client", ID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	rec.Value = []byte(`{"disabled":true}`)
	if _, err := settings.Commit(t.Context(), store.Batch{Put: []store.Record{rec}}); err != nil {
		t.Fatal(err)
	}
	if _, err := sessions.Commit(t.Context(), store.Batch{NewEpoch: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.refresh(web, "web"); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Refresh at a client that is disabled = %+v, %v, want ErrInvalidToken", got, err)
	}
}
