package issuer_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// A search over all users finds the living sessions for which each field of the filter holds, in
// a store with an index and in one without, also those that were written before there was one.
func TestSearch(t *testing.T) {
	for name, s := range map[string]store.Store{"memory": memory.New(), "sqlite": openSQLite(t)} {
		t.Run(name, func(t *testing.T) { testSearch(t, newIssuer(t, s)) })
	}
}

func openSQLite(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func testSearch(t *testing.T, b *bench) {
	ctx := t.Context()
	if err := b.Clients().Set(ctx, rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Carriers = carriers }); err != nil {
		t.Fatal(err)
	}
	begun := b.clock.Now()
	var ids []string // the oldest first
	for n := range 12 {
		proof := b.proof(t, fmt.Sprintf("user%d", n%4))
		proof.ACR = []string{"", "urn:strong"}[n%2]
		got, err := b.Login(ctx, proof, issuer.Request{
			Carrier: carriers[n%3], Client: []string{"", "app"}[n/6], UserAgent: fmt.Sprintf("Agent/%d (Phone %d)", n, n%2),
			Act: audit.Act{Address: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n%5))},
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.Session.ID)
		b.clock.add(time.Second)
	}
	if _, err := b.Revoke(ctx, source.ScopeSession, ids[0], audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Commit(ctx, store.Batch{Put: []store.Record{{Key: store.Key{Kind: "session", ID: "ses_damaged"}, Owner: "user9", Value: []byte("{")}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Reindex(ctx, func(int) {}); err != nil {
		t.Fatal(err)
	}
	index := b.store.Describe().Indexed
	for _, c := range []struct {
		what string
		f    issuer.Filter
		want string // numbers of sessions, the newest first; x is the damaged one
	}{
		{"all", issuer.Filter{}, "11 10 9 8 7 6 5 4 3 2 1 x"},
		{"user", issuer.Filter{Subject: "user1"}, "9 5 1"},
		{"user who has a damaged one", issuer.Filter{Subject: "user9"}, "x"},
		{"nobody", issuer.Filter{Subject: "nobody"}, ""},
		{"client", issuer.Filter{Client: "app"}, "11 10 9 8 7 6"},
		{"no client", issuer.Filter{Client: "ap"}, ""},
		{"default client", issuer.Filter{Client: "default"}, "5 4 3 2 1"},
		{"carrier", issuer.Filter{Carrier: carriers[1]}, "10 7 4 1"},
		{"address", issuer.Filter{Address: netip.MustParseAddr("2001:db8:0::1")}, "11 6 1"},
		{"beginning of an address", issuer.Filter{Address: netip.MustParseAddr("2001:db8::")}, "10 5"},
		{"device", issuer.Filter{Device: "phone 1"}, "11 9 7 5 3 1"},
		{"acr", issuer.Filter{ACR: "urn:strong"}, "11 9 7 5 3 1"},
		{"since", issuer.Filter{Since: begun.Add(8 * time.Second)}, "11 10 9 8"},
		{"since, of a client", issuer.Filter{Client: "default", Since: begun.Add(4 * time.Second)}, "5 4"},
		{"all at once", issuer.Filter{Subject: "user3", Client: "app", Carrier: carriers[1], Address: netip.MustParseAddr("2001:db8::2"), Device: "AGENT", ACR: "urn:strong", Since: begun}, "7"},
		{"one does not hold", issuer.Filter{Client: "app", Address: netip.MustParseAddr("2001:db8::1"), Carrier: carriers[1]}, ""},
	} {
		var got []string
		for row, err := range b.All(ctx, c.f) {
			if err != nil {
				t.Fatal(err)
			}
			if row.Damaged {
				got = append(got, "x")
			} else {
				got = append(got, fmt.Sprint(slices.Index(ids, row.ID)))
			}
		}
		want := strings.Fields(c.want)
		if !index || c.f.Subject != "" {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %q, want %q", c.what, got, want)
		}
		// The ended session's row is gone, so all that are stored live.
		if n, more, err := b.Count(ctx, c.f); n != len(want) || more || err != nil {
			t.Errorf("%s: Count = %d, %v, %v, want %d", c.what, n, more, err, len(want))
		}
		// In small pages, it is the same.
		n := 0
		for after, pages := "", 0; ; pages++ {
			found, err := b.Search(ctx, c.f, after, 2)
			if err != nil || len(found.Sessions) > 2 || pages > 20 {
				t.Fatalf("%s: page %d has %d sessions, %v", c.what, pages, len(found.Sessions), err)
			}
			n += len(found.Sessions)
			if after = found.Next; after == "" {
				break
			}
		}
		if n != len(want) {
			t.Errorf("%s: pages have %d sessions, want %d", c.what, n, len(want))
		}
	}
	for what, f := range map[string]issuer.Filter{"*": {Subject: "*"}, "client": {Client: "ä"}, "device": {Device: strings.Repeat("x", 257)}} {
		if _, err := b.Search(ctx, f, "", 0); err == nil {
			t.Errorf("%s: the search is not refused", what)
		}
	}
}

// A page of a search asks the store a few times, whatever is on it, and looks at a bounded number
// of rows: a page without a match says where to go on.
func TestSearchIsBounded(t *testing.T) {
	w := &work{Store: openSQLite(t)}
	i, own := manySessions(t, w, counterfoil.CarrierBearer)
	if err := i.Reindex(t.Context(), func(int) {}); err != nil {
		t.Fatal(err)
	}
	w.reset()
	found, err := i.Search(t.Context(), issuer.Filter{}, "", 200)
	if err != nil || len(found.Sessions) != 200 || found.Next == "" {
		t.Fatalf("%d sessions, next %q, %v", len(found.Sessions), found.Next, err)
	}
	if calls := w.calls.Load(); calls > 6 {
		t.Errorf("a page asked the store %d times", calls)
	}
	none, err := i.Search(t.Context(), issuer.Filter{Device: "no such device"}, "", 200)
	if err != nil || len(none.Sessions) > 0 || none.Next == "" || none.Looked != 1000 {
		t.Errorf("a search without a match: %d sessions of %d rows, next %q, %v", len(none.Sessions), none.Looked, none.Next, err)
	}
	if n, more, err := i.Count(t.Context(), issuer.Filter{Client: own.Session.Client}); n != issuer.MaxCount || !more || err != nil {
		t.Errorf("Count = %d, %v, %v, want more than %d", n, more, err, issuer.MaxCount)
	}
	if tally, err := i.Tally(t.Context()); tally.Sessions != issuer.MaxCount || !tally.More || err != nil {
		t.Errorf("Tally = %+v, %v, want more than %d", tally, err, issuer.MaxCount)
	}
}
