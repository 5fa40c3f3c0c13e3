package directory_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// A search finds the users for whom each field of the filter holds, in a store with an index and
// in one without, however names are spelled, and follows each change of a user.
func TestSearch(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	for name, s := range map[string]store.Store{"memory": memory.New(), "sqlite": file} {
		t.Run(name, func(t *testing.T) { testSearch(t, s) })
	}
}

func testSearch(t *testing.T, s store.Store) {
	ctx := t.Context()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d, err := directory.New(directory.Options{Store: s, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{} // by identifier
	for _, u := range []directory.User{
		{Identifier: "Alice@example.org", Name: "Alice Álvarez-Smith", Roles: []string{"admin", "support"}},
		{Identifier: "alina", Name: "Alina (Ali) Brown"},
		{Identifier: "bob@example.org", Name: "Bob ALI", Roles: []string{"support"}},
		{Identifier: "李雷", Name: "李 雷"},
		{Identifier: "straße", Name: "100%_weird"},
		{Identifier: "plain"},
	} {
		made, err := d.Create(ctx, audit.Act{}, u)
		if err != nil {
			t.Fatal(err)
		}
		ids[made.Identifier] = made.ID
		now = now.Add(time.Hour)
	}
	change := func(identifier string, do func(*directory.User)) {
		u, err := d.ByIdentifier(ctx, identifier)
		if err != nil {
			t.Fatal(err)
		}
		do(&u)
		if err := d.Write(ctx, u, nil, audit.Act{By: "test"}.Entry(audit.ChangeUser, u.ID)); err != nil {
			t.Fatal(err)
		}
	}
	change("plain", func(u *directory.User) { u.Name, u.Status = "Zoe", directory.Disabled })
	change("bob@example.org", func(u *directory.User) { u.Roles = []string{"auditor"} })
	if _, err := s.Commit(ctx, store.Batch{Put: []store.Record{{Key: store.Key{Kind: "user", ID: "usr_damaged"}, Value: []byte("{")}}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Reindex(ctx, func(int) {}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		f    directory.Filter
		want string
	}{
		{"beginning", directory.Filter{Text: "ali"}, "alice@example.org alina bob@example.org"},
		{"other case", directory.Filter{Text: "ALIC"}, "alice@example.org"},
		{"word of the name", directory.Filter{Text: "brow"}, "alina"},
		{"letters with marks, composed or not", directory.Filter{Text: "A\u0301LV"}, "alice@example.org"},
		{"two words", directory.Filter{Text: " bob  al"}, "bob@example.org"},
		{"a word that begins another", directory.Filter{Text: "a ali b"}, "alina bob@example.org"},
		{"no word begins so", directory.Filter{Text: "lice"}, ""},
		{"wide letters", directory.Filter{Text: "ｂｏｂ"}, "bob@example.org"},
		{"folded", directory.Filter{Text: "STRASSE"}, "strasse"},
		{"other scripts", directory.Filter{Text: "李"}, "李雷"},
		{"no pattern", directory.Filter{Text: "100%"}, "strasse"},
		{"no wildcard", directory.Filter{Text: "1%"}, ""},
		{"id", directory.Filter{Text: ids["alina"][:12]}, "alina"},
		{"the beginning of all ids", directory.Filter{Text: "usr_"}, "alice@example.org alina bob@example.org plain strasse 李雷"},
		{"changed name", directory.Filter{Text: "zoe"}, "plain"},
		{"role", directory.Filter{Role: "support"}, "alice@example.org"},
		{"beginning of a role", directory.Filter{Role: "supp"}, ""},
		{"new role", directory.Filter{Role: "auditor"}, "bob@example.org"},
		{"disabled", directory.Filter{Disabled: new(true)}, "plain"},
		{"not disabled", directory.Filter{Disabled: new(false)}, "alice@example.org alina bob@example.org strasse 李雷"},
		{"since", directory.Filter{Since: now.Add(-2 * time.Hour)}, "plain strasse"},
		{"before", directory.Filter{Before: now.Add(-5 * time.Hour)}, "alice@example.org"},
		{"between", directory.Filter{Since: now.Add(-5 * time.Hour), Before: now.Add(-3 * time.Hour)}, "alina bob@example.org"},
		{"all at once", directory.Filter{Text: "al", Role: "admin", Disabled: new(false), Since: now.Add(-6 * time.Hour), Before: now}, "alice@example.org"},
		{"all", directory.Filter{}, "alice@example.org alina bob@example.org plain strasse 李雷 damaged"},
	} {
		var got []string
		for after, pages := "", 0; ; pages++ {
			found, err := d.Search(ctx, c.f, after, 2)
			if err != nil || len(found.Users) > 2 || pages > 20 {
				t.Fatalf("%s: page %d has %d users, %v", c.what, pages, len(found.Users), err)
			}
			for _, u := range found.Users {
				if u.Status == directory.Damaged {
					u.Identifier = "damaged"
				}
				got = append(got, u.Identifier)
			}
			if after = found.Next; after == "" {
				break
			}
		}
		want := strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %q, want %q", c.what, got, want)
		}
		if n, more, err := d.Count(ctx, c.f); n != len(want) || more || err != nil {
			t.Errorf("%s: Count = %d, %v, %v, want %d", c.what, n, more, err, len(want))
		}
	}
	for what, f := range map[string]directory.Filter{
		"long": {Text: strings.Repeat("a", 255)}, "expands": {Text: strings.Repeat("\ufdfa", 80)}, "many words": {Text: "a b c d e f g h i"},
		"nothing to see": {Text: "\u200b "}, "role": {Role: "two words"}, "long role": {Role: strings.Repeat("x", 65)},
	} {
		if _, err := d.Search(ctx, f, "", 0); !errors.Is(err, directory.ErrBadFilter) {
			t.Errorf("%s: Search = %v, want ErrBadFilter", what, err)
		}
	}
}

// A page of a search looks at a bounded number of users: one without a match says where to go on.
func TestSearchIsBounded(t *testing.T) {
	s := memory.New()
	var b store.Batch
	for n := range 192 {
		b.Put = append(b.Put, store.Record{Key: store.Key{Kind: "user", ID: fmt.Sprint("usr_", n)}, Value: []byte(`{"created":"2026-03-01T12:00:00Z"}`)})
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	d := open(t, s)
	found, err := d.Search(t.Context(), directory.Filter{Role: "none"}, "", 0)
	if err != nil || len(found.Users) > 0 || found.Looked != 191 || found.Next == "" {
		t.Fatalf("%d users of %d, next %q, %v", len(found.Users), found.Looked, found.Next, err)
	}
	if found, err = d.Search(t.Context(), directory.Filter{Role: "none"}, found.Next, 0); err != nil || found.Looked != 1 || found.Next != "" {
		t.Errorf("the next page looks at %d, next %q, %v", found.Looked, found.Next, err)
	}
	if n, more, err := d.Count(t.Context(), directory.Filter{Role: "none"}); n != 0 || !more || err != nil {
		t.Errorf("Count = %d, %v, %v, want more than 0", n, more, err)
	}
}

// A count is exact up to 10,000 users. One more, and there are more than that.
func TestCountIsBounded(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const most = 10_000
	var b store.Batch
	for n := range most {
		b.Put = append(b.Put, store.Record{Key: store.Key{Kind: "user", ID: fmt.Sprint("usr_", n)}, Value: []byte(`{"roles":["staff"],"created":"2026-03-01T12:00:00Z"}`)})
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	d := open(t, s)
	if err := d.Reindex(t.Context(), func(int) {}); err != nil {
		t.Fatal(err)
	}
	if n, more, err := d.Count(t.Context(), directory.Filter{Role: "staff"}); n != most || more || err != nil {
		t.Errorf("Count = %d, %v, %v, want %d", n, more, err, most)
	}
	if _, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "one-more", Roles: []string{"staff"}}); err != nil {
		t.Fatal(err)
	}
	if n, more, err := d.Count(t.Context(), directory.Filter{Role: "staff"}); n != most || !more || err != nil {
		t.Errorf("Count = %d, %v, %v, want more than %d", n, more, err, most)
	}
}

// A name of the most words that a user may have is no reason to refuse the user.
func TestTextsFit(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := open(t, s)
	u := directory.User{Identifier: strings.Repeat("가", 84)}
	for n := range 32 {
		u.Roles = append(u.Roles, fmt.Sprintf("role%d%s", n, strings.Repeat("x", 50)))
	}
	for n := range 66 {
		u.Name += string(rune('a'+n%26)) + string(rune('a'+n/26)) + " "
	}
	u.Name = strings.TrimSpace(u.Name)
	if _, err := d.Create(t.Context(), audit.Act{}, u); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.Repeat("가", 84), strings.Repeat("가", 30), "aa"} {
		if found, err := d.Search(t.Context(), directory.Filter{Text: text}, "", 0); err != nil || len(found.Users) != 1 {
			t.Errorf("Search(%.20q) finds %d users, %v", text, len(found.Users), err)
		}
	}
}
