package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/issuertest"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func TestGrantsInMemory(t *testing.T) {
	issuertest.Grants(t, func(t *testing.T) *issuer.Issuer { return newIssuer(t, memory.New()).Issuer })
}

func TestGrantsInTwoStores(t *testing.T) {
	issuertest.Grants(t, func(t *testing.T) *issuer.Issuer { return newIssuerOn(t, memory.New(), memory.New()).Issuer })
}

func TestGrantsInSQLite(t *testing.T) {
	issuertest.Grants(t, func(t *testing.T) *issuer.Issuer {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "c.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return newIssuer(t, s).Issuer
	})
}

// granted is a session of client "web" by carrier, with a grant of client "app".
func (b *bench) granted(t *testing.T, subject string, carrier counterfoil.Carrier) (web, app *issuer.Issued) {
	t.Helper()
	for _, id := range []string{"web", "app"} {
		b.client(t, id, clients.Client{Scopes: []string{"read"}})
	}
	web, err := b.Login(t.Context(), b.proof(t, subject), issuer.Request{Client: "web", Carrier: carrier, Attributes: map[string]string{"desk": "7"}})
	if err != nil {
		t.Fatal(err)
	}
	return web, b.grant(t, web.Session.ID)
}

func (b *bench) grant(t *testing.T, sid string) *issuer.Issued {
	t.Helper()
	app, err := b.AddGrant(t.Context(), sid, issuer.Request{Client: "app"})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func (b *bench) refresh(i *issuer.Issued, client string) (*issuer.Issued, error) {
	return b.Refresh(context.Background(), i.Refresh.Reveal(), issuer.Renewal{Client: client})
}

// A grant is of the session: what belongs to the login is in its copies. Attributes are
// not: an application set them for itself.
func TestGrantSharesTheLogin(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, app := b.granted(t, "alice", counterfoil.CarrierCookie)
	names := differences(web.Session, app.Session)
	slices.Sort(names)
	// Each copy expires at another moment, which may be the same second.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "Expires" })
	if want := []string{"Attributes", "Client", "KeyID", "TokenID"}; !slices.Equal(names, want) {
		t.Errorf("%q differ, want %q", names, want)
	}
	if app.Session.Attributes != nil || app.Session.Carrier != counterfoil.CarrierBearer || !app.SessionExpires.Equal(web.SessionExpires) {
		t.Errorf("the grant is %+v", app.Session)
	}
}

func TestWhatNoGrantCanBe(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, _ := b.granted(t, "alice", counterfoil.CarrierCookie)
	b.client(t, "cookies", clients.Client{Carriers: []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierJWTCookie}})
	b.client(t, "disabled", clients.Client{Disabled: true})
	before := b.dump(t)
	for name, c := range map[string]struct {
		sid  string
		r    issuer.Request
		want error
	}{
		"own client":       {web.Session.ID, issuer.Request{Client: "web"}, issuer.ErrBadRequest},
		"unknown client":   {web.Session.ID, issuer.Request{Client: "nobody"}, clients.ErrUnknown},
		"disabled client":  {web.Session.ID, issuer.Request{Client: "disabled"}, clients.ErrDisabled},
		"cookie":           {web.Session.ID, issuer.Request{Client: "app", Carrier: counterfoil.CarrierCookie}, clients.ErrCarrier},
		"jwt-cookie":       {web.Session.ID, issuer.Request{Client: "app", Carrier: counterfoil.CarrierJWTCookie}, clients.ErrCarrier},
		"only cookies":     {web.Session.ID, issuer.Request{Client: "cookies"}, clients.ErrCarrier},
		"scope":            {web.Session.ID, issuer.Request{Client: "app", Scopes: []string{"write"}}, clients.ErrScope},
		"no session":       {"ses_none", issuer.Request{Client: "app"}, counterfoil.ErrInvalidToken},
		"no session id":    {"", issuer.Request{Client: "app"}, counterfoil.ErrInvalidToken},
		"many attributes":  {web.Session.ID, issuer.Request{Client: "app", Attributes: map[string]string{"a": strings.Repeat("x", 2000)}}, issuer.ErrBadRequest},
		"replaces another": {web.Session.ID, issuer.Request{Client: "app", Replaces: []*counterfoil.Session{web.Session}}, issuer.ErrBadRequest},
	} {
		if got, err := b.AddGrant(t.Context(), c.sid, c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, c.want)
		}
	}
	for name, id := range map[string]string{"no client": web.Session.ID, "empty client": web.Session.ID + " ", "no session": " app", "two spaces": web.Session.ID + " app app"} {
		if _, err := b.Revoke(t.Context(), source.ScopeGrant, id, audit.Act{}); !errors.Is(err, issuer.ErrBadRequest) {
			t.Errorf("Revoke of a grant with %s = %v, want ErrBadRequest", name, err)
		}
	}
	if _, err := b.EndGrant(t.Context(), web.Session.ID, "nobody", audit.Act{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("EndGrant of a client that has none = %v, want ErrNotFound", err)
	}
	if after := b.dump(t); !slices.Equal(before, after) {
		t.Errorf("something changed:\n%q\n%q", before, after)
	}
}

// dump is every session and family, in order.
func (b *bench) dump(t *testing.T) (all []string) {
	t.Helper()
	for _, kind := range []store.Kind{"session", "grant"} {
		for rec, err := range b.store.List(t.Context(), kind, "*", "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(rec.Key, rec.Rev, string(rec.Value)))
		}
	}
	slices.Sort(all)
	return all
}

// A client that is granted anew begins anew: what it held before is dead at once, and
// what it gets is good, in the same commit.
func TestGrantedAnew(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, before := b.granted(t, "alice", counterfoil.CarrierBearer)
	after := b.grant(t, web.Session.ID)
	if !b.covers(t, before.Session) || b.covers(t, after.Session) || b.covers(t, web.Session) {
		t.Error("the log does not cover the old copy alone")
	}
	if _, err := b.refresh(before, "app"); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the old refresh token: %v", err)
	}
	if _, err := b.refresh(after, "app"); err != nil {
		t.Errorf("the new refresh token: %v", err)
	}
	// Ended, asked for again, granted once more.
	one, err := b.EndGrant(t.Context(), web.Session.ID, "app", audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	if two, err := b.EndGrant(t.Context(), web.Session.ID, "app", audit.Act{}); err != nil || two.At.Epoch != one.At.Epoch {
		t.Errorf("EndGrant again = %+v, %v", two, err)
	}
	if again := b.grant(t, web.Session.ID); b.covers(t, again.Session) {
		t.Error("the third grant is covered")
	}
	if err := b.Logout(t.Context(), web.Session, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EndGrant(t.Context(), web.Session.ID, "app", audit.Act{}); err != nil {
		t.Errorf("EndGrant after the session's end = %v", err)
	}
}

// REF-06: the token of one client in the hands of another does nothing, in both directions.
func TestGrantsAreNotMixedUp(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, app := b.granted(t, "alice", counterfoil.CarrierBearer)
	for client, held := range map[string]*issuer.Issued{"app": web, "web": app, clients.Default: app} {
		if _, err := b.refresh(held, client); !errors.Is(err, issuer.ErrOtherClient) {
			t.Errorf("refresh by %s = %v, want ErrOtherClient", client, err)
		}
		if err := b.EndByRefresh(t.Context(), held.Refresh.Reveal(), client, audit.Act{}); err != nil {
			t.Error(err)
		}
	}
	// Nor does a login take away a session whose copy is of a grant.
	if _, err := b.loginBy(t, issuer.Request{Replaces: []*counterfoil.Session{app.Session}}); err != nil {
		t.Fatal(err)
	}
	for client, held := range map[string]*issuer.Issued{"web": web, "app": app} {
		if _, err := b.refresh(held, client); err != nil {
			t.Errorf("%s afterwards: %v", client, err)
		}
	}
}

// The use of a grant keeps an opaque session alive, and never beyond its absolute end.
func TestUseOfAGrantIsUseOfTheSession(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, app := b.granted(t, "alice", counterfoil.CarrierCookie)
	var err error
	for range 40 { // of half an hour each: idle is one hour
		b.clock.add(30 * time.Minute)
		if app, err = b.refresh(app, "app"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Lookup(t.Context(), web.Access.Reveal()); err != nil {
		t.Errorf("the cookie after twenty hours: %v", err)
	}
	b.clock.add(4 * time.Hour)
	if _, err := b.refresh(app, "app"); !errors.Is(err, counterfoil.ErrExpired) {
		t.Errorf("after a day: %v, want ErrExpired", err)
	}
}

func TestReuseInAGrantIsNoticed(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, app := b.granted(t, "alice", counterfoil.CarrierBearer)
	if _, err := b.refresh(app, "app"); err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Minute)
	if _, err := b.refresh(app, "app"); !errors.Is(err, issuer.ErrReused) {
		t.Fatalf("Refresh = %v, want ErrReused", err)
	}
	notices, err := b.Notices(t.Context(), "alice")
	if err != nil || len(notices) != 1 || notices[0].Client != "app" || !notices[0].Grant || notices[0].Session != web.Session.ID {
		t.Errorf("notices %+v, %v", notices, err)
	}
	entries, _, err := b.Audit().List(t.Context(), audit.Query{Limit: 1})
	if err != nil || len(entries) != 1 || entries[0].Action != audit.Reuse || entries[0].Client != "app" || entries[0].Session != web.Session.ID {
		t.Errorf("audit entries %+v, %v", entries, err)
	}
	if _, err := b.refresh(web, "web"); err != nil {
		t.Errorf("the session's own client: %v", err)
	}
}

// A session has room for so many clients, and its row for what they bring.
func TestAtMostSoManyGrants(t *testing.T) {
	b := newIssuer(t, memory.New())
	web, _ := b.granted(t, "alice", counterfoil.CarrierBearer)
	for n := range 40 {
		id := fmt.Sprint("client", n)
		b.client(t, id, clients.Client{})
		_, err := b.AddGrant(t.Context(), web.Session.ID, issuer.Request{Client: id, Attributes: map[string]string{"a": strings.Repeat("x", 1000)}})
		if n < 31 && err != nil {
			t.Fatalf("grant %d: %v", n, err)
		}
		if n >= 31 && !errors.Is(err, issuer.ErrBadRequest) {
			t.Fatalf("grant %d: %v, want ErrBadRequest", n, err)
		}
	}
	b.grant(t, web.Session.ID) // one that it has: no further one
}

// A session of one client is stored as it was before there were others; and a program of
// before, which writes a row without the grants of others, ends them and nothing else.
func TestStoredAsBefore(t *testing.T) {
	for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
		b := newIssuer(t, memory.New())
		alone := b.login(t, "bob", carrier)
		want := []string{"absolute_expires", "auth_time", "carrier", "client", "created", "device", "first_address", "id", "idle_expires", "last_address", "last_seen", "methods", "roles", "subject"}
		if carrier == counterfoil.CarrierBearer {
			want = append(want, "grant")
			slices.Sort(want)
		}
		if got := slices.Sorted(maps.Keys(b.row(t, alone.Session.ID))); !slices.Equal(got, want) {
			t.Errorf("%v: a row has %q, want %q", carrier, got, want)
		}

		web, app := b.granted(t, "alice", carrier)
		row := b.row(t, web.Session.ID)
		delete(row, "grants")
		rec, err := store.One(t.Context(), b.store, store.Key{Kind: "session", ID: web.Session.ID})
		if err != nil {
			t.Fatal(err)
		}
		if rec.Value, err = json.Marshal(row); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Commit(t.Context(), store.Batch{Put: []store.Record{rec}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.refresh(app, "app"); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%v: the grant that the row has lost: %v", carrier, err)
		}
		if _, err := b.Lookup(t.Context(), app.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%v: a copy of it: %v", carrier, err)
		}
		if _, err := b.Lookup(t.Context(), web.Access.Reveal()); err != nil {
			t.Errorf("%v: the session: %v", carrier, err)
		}
	}
}

func (b *bench) row(t *testing.T, sid string) (row map[string]json.RawMessage) {
	t.Helper()
	rec, err := store.One(t.Context(), b.store, store.Key{Kind: "session", ID: sid})
	if err == nil {
		err = json.Unmarshal(rec.Value, &row)
	}
	if err != nil {
		t.Fatal(err)
	}
	return row
}
