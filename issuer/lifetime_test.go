package issuer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// REV-13: an entry stays for as long as anything that it covers can be alive, leeway
// included, and is dropped then. A verifier that reads the log from zero at any moment
// knows all that it must (docs/revocation.md 4.9).
func TestEntriesOutliveWhatTheyCover(t *testing.T) {
	b := newIssuer(t, memory.New())
	const leeway = time.Minute // the largest that a verifier may have
	covered := b.login(t, "alice", counterfoil.CarrierBearer)
	last := covered.Session.Expires.Add(leeway)
	receipt, err := b.Revoke(t.Context(), source.ScopeSession, covered.Session.ID, audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	kept := func() bool {
		t.Helper()
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := b.Log(t.Context(), source.Follow{})
		if err != nil || page.Head.Before(receipt.At) {
			t.Fatalf("Log = %+v, %v", page, err)
		}
		for _, e := range page.Entries {
			if e.At == receipt.At {
				return e.Covers(covered.Session.Names())
			}
		}
		return false
	}
	for ; !b.clock.Now().After(last); b.clock.add(time.Minute) {
		if !kept() {
			t.Fatalf("the entry is gone %v before the last copy is dead", last.Sub(b.clock.Now()))
		}
		if _, err := b.Lookup(t.Context(), covered.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Fatalf("Lookup = %v", err)
		}
	}
	b.clock.add(20 * time.Minute)
	if kept() {
		t.Error("the entry is kept for ever")
	}
	if _, err := b.Lookup(t.Context(), covered.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("Lookup after the entry is gone = %v", err)
	}
}
