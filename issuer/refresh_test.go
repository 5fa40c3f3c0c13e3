package issuer_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// calls counts what do asks of the store.
func calls(s *storetest.FaultyStore, do func()) map[storetest.Op]int {
	ops := []storetest.Op{storetest.OpGet, storetest.OpList, storetest.OpCommit, storetest.OpLog}
	made := map[storetest.Op]int{}
	for _, op := range ops {
		made[op] = -s.Calls(op)
	}
	do()
	for _, op := range ops {
		if made[op] += s.Calls(op); made[op] == 0 {
			delete(made, op)
		}
	}
	return made
}

// A refresh is one read and one commit; what changed in between costs one look more,
// once.
func TestRefreshIsOneReadAndOneCommit(t *testing.T) {
	b, s := newFaulty(t)
	held := b.login(t, "alice", counterfoil.CarrierBearer)
	refresh := func(what string, gets, commits, logs int) {
		t.Helper()
		made := calls(s, func() {
			next, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{})
			if err != nil {
				t.Fatalf("%s: Refresh = %v", what, err)
			}
			held = next
		})
		if made[storetest.OpGet] != gets || made[storetest.OpCommit] != commits || made[storetest.OpLog] != logs || made[storetest.OpList] != 0 {
			t.Errorf("%s: the refresh made the calls %v, want %d reads, %d commits and %d looks at the log", what, made, gets, commits, logs)
		}
	}
	refresh("for the first time, with the settings of the client", 2, 1, 0)
	refresh("at rest", 1, 1, 0)
	if err := b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Roles = []string{"boss"} }); err != nil {
		t.Fatal(err)
	}
	refresh("after new roles", 3, 2, 1)
	if got := held.Session.Roles; len(got) != 1 || got[0] != "boss" {
		t.Errorf("the copy has the roles %v", got)
	}
	refresh("at rest with new roles", 1, 1, 0)
	if err := b.Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Audience = []string{"api"} }); err != nil {
		t.Fatal(err)
	}
	refresh("after a change of the client", 2, 1, 0)
	if got := held.Session.Audience; len(got) != 1 || got[0] != "api" {
		t.Errorf("the copy has the audience %v", got)
	}
	other := b.login(t, "bob", counterfoil.CarrierBearer)
	if err := b.Logout(t.Context(), other.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	refresh("after the log has moved", 1, 1, 1)
}

// SES-22: what a listing says of the last use is what the refresh was told, to the minute and no
// closer: a reader of the list does not see when a client refreshes.
func TestListingKnowsTheLastRefresh(t *testing.T) {
	b, _ := newFaulty(t)
	held := b.login(t, "alice", counterfoil.CarrierBearer)
	b.clock.add(10 * time.Minute)
	at, from := b.clock.Now().Truncate(time.Minute), netip.MustParseAddr("198.51.100.7")
	if _, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{Act: audit.Act{Address: from}}); err != nil {
		t.Fatal(err)
	}
	rows, _, err := b.Sessions(t.Context(), "alice", "", 0)
	if err != nil || len(rows) != 1 {
		t.Fatalf("Sessions = %v, %v", rows, err)
	}
	one, err := b.Session(t.Context(), held.Session.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []issuer.SessionRow{rows[0], *one} {
		if !row.LastSeen.Equal(at) || !row.Grants[0].LastUsed.Equal(at) || row.LastAddress != from || row.FirstAddress == from {
			t.Errorf("last seen %v from %v, want %v from %v", row.LastSeen, row.LastAddress, at, from)
		}
	}
}

// REV-01, REF-08: a change between what a refresh read and what it writes is seen,
// whatever it was, though the subject is only guessed.
func TestRefreshSeesWhatChangesMeanwhile(t *testing.T) {
	for what, change := range map[string]func(t *testing.T, b *bench, held *issuer.Issued){
		"its session ends": func(t *testing.T, b *bench, held *issuer.Issued) {
			_ = b.Logout(t.Context(), held.Session, audit.Act{})
		},
		"the subject is disabled": func(t *testing.T, b *bench, _ *issuer.Issued) {
			_ = b.SetSubject(t.Context(), "alice", audit.Act{}, func(s *issuer.Subject) { s.Disabled = true })
		},
		"the client is disabled": func(t *testing.T, b *bench, _ *issuer.Issued) {
			_ = b.Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Disabled = true })
		},
		"everybody is revoked": func(t *testing.T, b *bench, _ *issuer.Issued) {
			_, _ = b.Revoke(t.Context(), source.ScopeAll, "", audit.Act{})
		},
	} {
		b, s := newFaulty(t)
		held := b.login(t, "alice", counterfoil.CarrierBearer)
		s.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "grant", Times: 1, Slow: true, Before: func() { change(t, b, held) }})
		if next, err := b.Refresh(t.Context(), held.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s during a refresh: %+v, %v, want ErrInvalidToken", what, next, err)
		}
	}
}

// An opaque session, too: its idle end follows from its last use.
func TestListingOfAnOpaqueSessionIsCoarse(t *testing.T) {
	b := newIssuer(t, memory.New())
	held := b.login(t, "alice", counterfoil.CarrierCookie)
	b.clock.add(10*time.Minute + 17*time.Second)
	if _, err := b.Lookup(t.Context(), held.Access.Reveal()); err != nil {
		t.Fatal(err)
	}
	row, err := b.Session(t.Context(), held.Session.ID)
	if err != nil {
		t.Fatal(err)
	}
	if at := b.clock.Now().Truncate(time.Minute); !row.LastSeen.Equal(at) || !row.Grants[0].LastUsed.Equal(at) || !row.IdleExpires.Equal(b.clock.Now().Add(time.Hour).Truncate(time.Minute)) {
		t.Errorf("last seen %v, idle end %v, grants %+v", row.LastSeen, row.IdleExpires, row.Grants)
	}
}
