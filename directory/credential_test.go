package directory_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// values are the values of all records of a kind.
func values(t *testing.T, s store.Store, kind store.Kind) string {
	t.Helper()
	var all []string
	for r, err := range s.List(t.Context(), kind, "*", "") {
		must(t, err)
		all = append(all, r.ID+" "+string(r.Value))
	}
	return strings.Join(all, "\n")
}

// A user whose hash is in the user's record, where it was before there were credentials,
// signs in, and the hash moves in the next commit: of the user or of the credential.
func TestOldPasswords(t *testing.T) {
	for what, write := range map[string]func(d *directory.Directory, u directory.User) error{
		"a change of the user": func(d *directory.Directory, u directory.User) error {
			u.Name = "Alice"
			return d.Write(t.Context(), u, nil, audit.Entry{})
		},
		"a login": func(d *directory.Directory, u directory.User) error {
			a, err := d.Account(t.Context(), u.ID, directory.KindPassword)
			must(t, err)
			a.Credentials[0].LastUsed = time.Now()
			return d.SaveCredential(t.Context(), u.ID, a.Credentials[0], audit.Entry{})
		},
		"another credential": func(d *directory.Directory, u directory.User) error {
			return d.SaveCredential(t.Context(), u.ID, login.Credential{Kind: "totp", Data: json.RawMessage(`{}`)}, audit.Entry{})
		},
	} {
		s := memory.New()
		_, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{{
			Key:   store.Key{Kind: "user", ID: "usr_a"},
			Value: []byte(`{"identifier":"alice","status":"active","password":"$old","created":"2026-01-02T03:04:05Z"}`),
		}}})
		must(t, err)
		d := open(t, s)
		u, err := d.ByID(t.Context(), "usr_a")
		must(t, err)
		page, _, err := d.List(t.Context(), "", 10)
		if err != nil || u.Password != "$old" || page[0].Password != "$old" {
			t.Fatalf("%s: before, %+v, %+v, %v", what, u, page, err)
		}
		a, err := d.Account(t.Context(), "usr_a", directory.KindPassword)
		must(t, err)
		if len(a.Credentials) != 1 || string(a.Credentials[0].Data) != `{"hash":"$old"}` || a.Identifier != "alice" {
			t.Fatalf("%s: before, %+v", what, a)
		}
		must(t, write(d, u))
		const want = "$old"
		if users, credentials := values(t, s, "user"), values(t, s, "credential"); strings.Contains(users, "$") || strings.Count(credentials, `"`+want+`"`) != 1 {
			t.Errorf("%s left %s\nand %s", what, users, credentials)
		}
		if u, err = d.ByID(t.Context(), "usr_a"); err != nil || u.Password != want {
			t.Errorf("after %s: %+v, %v", what, u, err)
		}
	}
}

// A program of an earlier version set a password after this one had moved the hash: that
// password is the good one, and the one before opens nothing.
func TestPasswordOfAnEarlierVersion(t *testing.T) {
	s := memory.New()
	d := open(t, s)
	u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "alice", Password: "$stolen"})
	must(t, err)
	rec, err := store.One(t.Context(), s, store.Key{Kind: "user", ID: u.ID})
	must(t, err)
	rec.Value = []byte(`{"identifier":"alice","status":"active","password":"$new","created":"2026-01-02T03:04:05Z"}`)
	_, err = s.Commit(t.Context(), store.Batch{Put: []store.Record{rec}})
	must(t, err)
	for _, when := range []string{"before", "after"} {
		if u, err = d.ByID(t.Context(), u.ID); err != nil || u.Password != "$new" {
			t.Errorf("%s the hash moves: %+v, %v", when, u, err)
		}
		u.Name = "Alice"
		must(t, d.Write(t.Context(), u, nil, audit.Entry{}))
	}
	if all := values(t, s, "user") + values(t, s, "credential"); strings.Count(all, "$new") != 1 || strings.Contains(all, "$stolen") {
		t.Errorf("kept: %s", all)
	}
}

// A password that is taken away opens nothing, wherever its hash was.
func TestPasswordTakenAway(t *testing.T) {
	s := memory.New()
	_, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{{
		Key:   store.Key{Kind: "user", ID: "usr_a"},
		Value: []byte(`{"identifier":"alice","status":"active","password":"$old","created":"2026-01-02T03:04:05Z"}`),
	}}})
	must(t, err)
	d := open(t, s)
	for _, where := range []string{"in the user's record", "a credential"} {
		a, err := d.Account(t.Context(), "usr_a", directory.KindPassword)
		must(t, err)
		must(t, d.DeleteCredential(t.Context(), "usr_a", a.Credentials[0], audit.Entry{}))
		u, err := d.ByID(t.Context(), "usr_a")
		if err != nil || u.Password != "" {
			t.Errorf("%s: %+v, %v", where, u, err)
		}
		u.Password = "$next"
		must(t, d.Write(t.Context(), u, nil, audit.Entry{}))
	}
}

// SES-02: credentials end with their user, and belong to nobody else.
func TestCredentials(t *testing.T) {
	s := memory.New()
	d := open(t, s)
	alice, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "alice", Password: "$a"})
	must(t, err)
	bob, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "bob"})
	must(t, err)
	key := login.Credential{Kind: "passkey", ID: "one", Data: json.RawMessage(`{"n":1}`), Created: time.Unix(1e9, 0).UTC()}
	for _, id := range []string{"one", "two"} {
		key.ID = id
		must(t, d.SaveCredential(t.Context(), alice.ID, key, audit.Entry{}))
	}
	if err := d.SaveCredential(t.Context(), alice.ID, key, audit.Entry{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same credential again = %v, want ErrConflict", err)
	}
	if err := d.SaveCredential(t.Context(), "usr_nobody", key, audit.Entry{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a credential of nobody = %v, want ErrNotFound", err)
	}
	for _, bad := range []login.Credential{
		{Kind: "", Data: key.Data}, {Kind: "Totp", Data: key.Data}, {Kind: "a/b", Data: key.Data}, {Kind: "totp", ID: "a/b", Data: key.Data},
		{Kind: "totp", ID: strings.Repeat("x", 101), Data: key.Data}, {Kind: "totp"}, {Kind: "totp", Data: json.RawMessage(`{`)},
		{Kind: "totp", Data: json.RawMessage(`"` + strings.Repeat("x", 20<<10) + `"`)},
	} {
		if err := d.SaveCredential(t.Context(), alice.ID, bad, audit.Entry{}); !errors.Is(err, directory.ErrBadCredential) {
			t.Errorf("SaveCredential(%s, %s) = %v, want ErrBadCredential", bad.Kind, bad.ID, err)
		}
	}
	for _, c := range []struct {
		user directory.User
		kind string
		want int
	}{{alice, "passkey", 2}, {alice, "password", 1}, {alice, "totp", 0}, {bob, "passkey", 0}, {bob, "password", 0}} {
		a, err := d.Account(t.Context(), c.user.ID, c.kind)
		if err != nil || len(a.Credentials) != c.want || a.Subject != c.user.ID {
			t.Errorf("Account(%s, %s) = %+v, %v", c.user.Identifier, c.kind, a, err)
		}
	}
	a, err := d.Account(t.Context(), alice.ID, "passkey")
	must(t, err)
	first := a.Credentials[0]
	if first.ID != "one" || string(first.Data) != `{"n":1}` || !first.Created.Equal(key.Created) || first.Rev == 0 {
		t.Errorf("kept as %+v", first)
	}
	first.Data = json.RawMessage(`{"n":2}`)
	must(t, d.SaveCredential(t.Context(), alice.ID, first, audit.Entry{}))
	if err := d.SaveCredential(t.Context(), alice.ID, first, audit.Entry{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the second to use it = %v, want ErrConflict", err)
	}
	if err := d.DeleteCredential(t.Context(), alice.ID, first, audit.Entry{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("to delete it as it was = %v, want ErrConflict", err)
	}
	for n := range 40 {
		key.ID = strings.Repeat("i", n+1)
		err = d.SaveCredential(t.Context(), alice.ID, key, audit.Entry{})
		if n < 30 != (err == nil) || err != nil && !errors.Is(err, directory.ErrBadCredential) {
			t.Fatalf("credential %d = %v", n+3, err)
		}
	}
	alice, err = d.ByID(t.Context(), alice.ID)
	must(t, err)
	must(t, d.Delete(t.Context(), alice, audit.Entry{}))
	if left := values(t, s, "credential"); left != "" {
		t.Errorf("after the user: %s", left)
	}
}

// A password is set, replaced and taken away with its user, by compare-and-swap.
func TestPasswordIsACredential(t *testing.T) {
	s := memory.New()
	d := open(t, s)
	u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "alice"})
	must(t, err)
	for _, hash := range []string{"$one", "$two", "", "$three"} {
		u, err = d.ByID(t.Context(), u.ID)
		must(t, err)
		u.Password = hash
		must(t, d.Write(t.Context(), u, nil, audit.Entry{}))
		if got, err := d.ByID(t.Context(), u.ID); err != nil || got.Password != hash {
			t.Errorf("after %q: %+v, %v", hash, got, err)
		}
	}
	u, err = d.ByID(t.Context(), u.ID)
	must(t, err)
	a, err := d.Account(t.Context(), u.ID, directory.KindPassword)
	must(t, err)
	a.Credentials[0].LastUsed = time.Now()
	must(t, d.SaveCredential(t.Context(), u.ID, a.Credentials[0], audit.Entry{}))
	u.Password = "$four"
	if err := d.Write(t.Context(), u, nil, audit.Entry{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a password that somebody used meanwhile: Write = %v, want ErrConflict", err)
	}
}
