package clients_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// open returns the registry of one process.
func open(t *testing.T, settings, sessions store.Store) *clients.Registry {
	t.Helper()
	g, _ := openWithLog(t, settings, sessions)
	return g
}

func openWithLog(t *testing.T, settings, sessions store.Store) (*clients.Registry, *revlog.Log) {
	t.Helper()
	trail, err := audit.New(audit.Options{Store: settings, Beside: sessions, Hook: func(audit.Entry) {}})
	if err != nil {
		t.Fatal(err)
	}
	log, err := revlog.New(revlog.Options{
		Store: sessions, Audit: trail, ProofKey: []byte("key"), Time: nodetime.Believe(sessions, time.Now),
		EndAll:     func(context.Context) (store.Batch, string, error) { return store.Batch{}, "", nil },
		KeyRevoked: func(context.Context) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Head(t.Context()); err != nil { // from here on settings are remembered
		t.Fatal(err)
	}
	g, err := clients.New(clients.Options{
		Store: settings, Sessions: sessions, Log: log, Audit: trail,
		Shortest: lifetimes(10*time.Second, 3*time.Minute, 15*time.Minute, time.Minute),
		Longest:  lifetimes(5*time.Minute, time.Hour, 24*time.Hour, 24*time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, log
}

func lifetimes(access, idle, refreshIdle, absolute time.Duration) clients.Lifetimes {
	return clients.Lifetimes{
		AccessTTL: clients.Lifetime(access), Idle: clients.Lifetime(idle),
		RefreshIdle: clients.Lifetime(refreshIdle), Absolute: clients.Lifetime(absolute),
	}
}

func set(t *testing.T, g *clients.Registry, id string, c clients.Client) {
	t.Helper()
	if err := g.Set(t.Context(), rights.Owner(), id, audit.Act{}, func(into *clients.Client) { *into = c }); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	db := memory.New()
	g := open(t, db, db)
	for name, c := range map[string]clients.Client{
		"null origin": {Origins: []string{"null"}}, "any origin": {Origins: []string{"*"}}, "pattern": {Origins: []string{"https://*.app.test"}},
		"path": {Origins: []string{"https://app.test/"}}, "plain": {Origins: []string{"http://app.test"}}, "upper": {Origins: []string{"https://App.test"}},
		"default port": {Origins: []string{"https://app.test:443"}}, "user": {Origins: []string{"https://me@app.test"}}, "no port": {Origins: []string{"https://app.test:"}},
		"same site": {SameSite: "none"}, "scope": {Scopes: []string{"a b"}}, "audience": {Audience: []string{""}}, "name": {Name: "a\nb"},
		"carrier": {Carriers: []counterfoil.Carrier{{}}}, "encryption key": {EncryptionKey: new(clients.EncryptionKey)},
		"long audience": {Audience: []string{strings.Repeat("a", 201)}},
		"long access":   {Lifetimes: lifetimes(6*time.Minute, 0, 0, 0)}, "short access": {Lifetimes: lifetimes(9*time.Second, 0, 0, 0)},
		"long idle": {Lifetimes: lifetimes(0, 61*time.Minute, 0, 0)}, "short idle": {Lifetimes: lifetimes(0, 2*time.Minute, 0, 0)},
		"long refresh idle": {Lifetimes: lifetimes(0, 0, 25*time.Hour, 0)}, "short refresh idle": {Lifetimes: lifetimes(0, 0, 14*time.Minute, 0)},
		"long absolute": {Lifetimes: lifetimes(0, 0, 0, 25*time.Hour)}, "short absolute": {Lifetimes: lifetimes(0, 0, 0, time.Second)},
		"negative": {Lifetimes: lifetimes(-time.Minute, 0, 0, 0)}, "half a second": {Lifetimes: lifetimes(90500*time.Millisecond, 0, 0, 0)},
	} {
		if err := g.Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(into *clients.Client) { *into = c }); !errors.Is(err, clients.ErrBadRequest) {
			t.Errorf("%s: Set = %v, want ErrBadRequest", name, err)
		}
	}
	for _, id := range []string{"", "a b", strings.Repeat("x", 65), "a\n"} {
		if err := g.Set(t.Context(), rights.Owner(), id, audit.Act{}, func(*clients.Client) {}); !errors.Is(err, clients.ErrBadRequest) {
			t.Errorf("Set(%q) = %v, want ErrBadRequest", id, err)
		}
	}
	set(t, g, "app", clients.Client{Origins: []string{"https://app.test:8443", "http://localhost:3000", "http://127.0.0.1"}})
	if err := g.Delete(t.Context(), rights.Owner(), clients.Default, audit.Act{}); !errors.Is(err, clients.ErrBadRequest) {
		t.Errorf("Delete(default) = %v, want ErrBadRequest", err)
	}
}

// Each client is on one page, by id, whatever the size of the pages, and the default one also while nobody has set it.
func TestClientsInPages(t *testing.T) {
	db := memory.New()
	g := open(t, db, db)
	want := []string{clients.Default}
	check := func() {
		t.Helper()
		for limit := range len(want) + 2 {
			var got []string
			for after, more := "", true; more; {
				page, further, err := g.List(t.Context(), after, limit)
				if err != nil || limit > 0 && len(page) > limit || len(page) == 0 {
					t.Fatalf("List(%q, %d) = %+v, %v", after, limit, page, err)
				}
				for _, c := range page {
					got = append(got, c.ID)
				}
				after, more = got[len(got)-1], further
			}
			if !slices.Equal(got, want) {
				t.Errorf("with pages of %d: %q, want %q", limit, got, want)
			}
		}
	}
	check()
	for _, id := range []string{"zoo", "app", "deep", "defaulted", clients.Default} {
		set(t, g, id, clients.Client{})
		if want = append(want, id); id == clients.Default {
			want = want[:len(want)-1] // it was there
		}
		slices.Sort(want)
		check()
	}
	for n := range clients.MaxPage {
		set(t, g, fmt.Sprintf("c%03d", n), clients.Client{})
	}
	for _, limit := range []int{0, clients.MaxPage, clients.MaxPage + 1} {
		if page, more, err := g.List(t.Context(), "", limit); err != nil || len(page) != clients.MaxPage || !more {
			t.Errorf("List with the limit %d = %d clients, more %v, %v", limit, len(page), more, err)
		}
	}
}

// Two processes on the same two stores: what one is told the other knows, at once.
func TestSettingsAreNoOlderThanTheChange(t *testing.T) {
	settings, sessions := memory.New(), memory.New()
	one, two := open(t, settings, sessions), open(t, settings, sessions)
	for n := range 100 {
		set(t, one, "app", clients.Client{Disabled: n%2 == 1})
		if c, err := two.Client(t.Context(), "app"); err != nil || c.Disabled != (n%2 == 1) {
			t.Fatalf("change %d: the other process has %+v, %v", n, c, err)
		}
	}
}

// Settings are remembered under their revision, and only in the epoch of the log in which
// they were read: a store that lost revisions counts them again.
func TestAnotherEpochForgetsSettings(t *testing.T) {
	settings, sessions := memory.New(), memory.New()
	g, log := openWithLog(t, settings, sessions)
	set(t, g, "app", clients.Client{Name: "before"})
	if c, err := g.Client(t.Context(), "app"); err != nil || c.Name != "before" {
		t.Fatalf("Client = %+v, %v", c, err)
	}
	key := store.Key{Kind: "client", ID: "app"}
	rec, err := store.One(t.Context(), settings, key)
	if err != nil {
		t.Fatal(err)
	}
	rec.Value = []byte(`{"name":"after"}`) // as a backup that is put back: the revision is what it was
	if _, err := settings.Commit(t.Context(), store.Batch{Put: []store.Record{rec}}); err != nil {
		t.Fatal(err)
	}
	if c, err := g.Client(t.Context(), "app"); err != nil || c.Name != "before" {
		t.Errorf("Client under the same revision = %+v, %v, want what was remembered", c, err)
	}
	if _, err := sessions.Commit(t.Context(), store.Batch{NewEpoch: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := g.Client(t.Context(), "app"); err != nil || c.Name != "after" {
		t.Errorf("Client in another epoch = %+v, %v, want what is stored", c, err)
	}
}

// A change that ends the sessions of a client raises its generation and stands in the log;
// any other does not.
func TestGeneration(t *testing.T) {
	settings, sessions := memory.New(), memory.New()
	g := open(t, settings, sessions)
	for n, step := range []struct {
		change clients.Client
		want   uint64
	}{{clients.Client{Name: "a"}, 0}, {clients.Client{Disabled: true}, 1}, {clients.Client{}, 1}, {clients.Client{Disabled: true}, 2}} {
		set(t, g, "app", step.change)
		c, err := g.Client(t.Context(), "app")
		if err != nil || c.Generation != step.want {
			t.Errorf("step %d: generation %d, %v, want %d", n, c.Generation, err, step.want)
		}
		entries, _, err := sessions.Log(t.Context(), counterfoil.Cursor{}, 10)
		if err != nil || len(entries) != int(step.want) {
			t.Errorf("step %d: the log is %v, %v, want %d entries", n, entries, err, step.want)
		}
		for _, e := range entries {
			if e.Scope != source.ScopeClient || e.ID != "app" {
				t.Errorf("step %d: entry %+v", n, e)
			}
		}
	}
	if err := g.Delete(t.Context(), rights.Owner(), "app", audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Client(t.Context(), "app"); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("Client after Delete = %v, want ErrUnknown", err)
	}
	set(t, g, "app", clients.Client{})
	if c, err := g.Client(t.Context(), "app"); err != nil || c.Generation < 3 {
		t.Errorf("another client of the same id has generation %d, %v: sessions of the first one would live", c.Generation, err)
	}
}

// In two stores, another process changes the client between the settings and the revision
// of a change. Neither change is lost, and the sessions end.
func TestTwoChangesAtOnce(t *testing.T) {
	settings, sessions := memory.New(), storetest.Faulty(memory.New())
	one, two := open(t, settings, sessions), open(t, settings, sessions)
	sessions.Inject(storetest.Fault{Op: storetest.OpCommit, Times: 1, Slow: true, Before: func() {
		if err := two.Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Name = "two" }); err != nil {
			t.Error(err)
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := one.Set(ctx, rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	c, err := one.Client(t.Context(), "app")
	if err != nil || c.Name != "two" || !c.Disabled || c.Generation == 0 {
		t.Errorf("Client = %+v, %v, want both changes and another generation", c, err)
	}
}

// In two stores, another process enables the client while it is deleted. Sessions that it
// may have got meanwhile end too.
func TestEnabledWhileDeleted(t *testing.T) {
	settings, sessions := storetest.Faulty(memory.New()), memory.New()
	one, two := open(t, settings, sessions), open(t, settings, sessions)
	set(t, one, "app", clients.Client{})
	var enabled counterfoil.Cursor
	enable := func() {
		set(t, two, "app", clients.Client{})
		_, enabled, _ = sessions.Log(t.Context(), counterfoil.Cursor{}, 1)
	}
	// Delete reads the settings, then to disable the client, and once more to delete it.
	settings.Inject(storetest.Fault{Op: storetest.OpGet, After: 2, Times: 1, Slow: true, Before: enable})
	if err := one.Delete(t.Context(), rights.Owner(), "app", audit.Act{}); err != nil {
		t.Fatal(err)
	}
	entries, _, err := sessions.Log(t.Context(), enabled, 10)
	if err != nil || enabled.Seq == 0 || len(entries) != 1 || entries[0].ID != "app" {
		t.Errorf("after the client was enabled at %v the log has %+v, %v, want its end", enabled, entries, err)
	}
}
