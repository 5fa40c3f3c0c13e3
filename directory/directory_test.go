package directory_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

func open(t *testing.T, s store.Store) *directory.Directory {
	t.Helper()
	d, err := directory.New(directory.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// LOGIN-04: a name that is too long, or would be once it is normalised, is refused before
// any of that work.
func TestCanonicalRefusesFirst(t *testing.T) {
	for name, long := range map[string]string{
		"long": strings.Repeat("a", 255), "64 KiB of marks": strings.Repeat("e\u0301", 20_000),
		"expands 18 times": strings.Repeat("\ufdfa", 84), "expands in the middle": "carol" + strings.Repeat("\ufdfa", 40) + "@example.org",
	} {
		if work := testing.AllocsPerRun(10, func() {
			if got, err := directory.Canonical(long); err == nil {
				t.Errorf("%s: Canonical = %q", name, got)
			}
		}); work != 0 {
			t.Errorf("%s: refused after %v allocations", name, work)
		}
	}
	for _, fits := range []string{strings.Repeat("a", 254), strings.Repeat("ｱ", 84), strings.Repeat("가", 84)} {
		if _, err := directory.Canonical(fits); err != nil {
			t.Errorf("Canonical(%q) = %v", fits, err)
		}
	}
}

// LOGIN-11: one spelling for all aliases, and no tricks.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"Alice": "alice", " alice ": "alice", "ALICE@Example.ORG": "alice@example.org", "ａlice": "alice",
		"Straße": "strasse", "\u212aelvin": "kelvin", "ﬁn": "fin",
		"ali\u00adce": "alice", "alice\u200b": "alice", "ali\u2060ce": "alice", "alice\ufe0f": "alice", "\u202ealice": "alice",
		"al\u034fice": "alice", "alice\u180e": "alice", "alice\U000e0041": "alice", "ali\u3164ce": "alice", "\u200b": "", "a@\u200b": "",
		"": "", "a@evil@corp.com": "", "@a": "", "a@": "", "a b": "", "a\x00b": "", "a\nb": "", "a\u2028b": "", "\xff": "",
		strings.Repeat("x", 255): "",
	} {
		got, err := directory.Canonical(in)
		if got != want || (want == "") != errors.Is(err, directory.ErrBadIdentifier) {
			t.Errorf("Canonical(%q) = %q, %v, want %q", in, got, err, want)
		}
		if again, _ := directory.Canonical(got); got != "" && again != got {
			t.Errorf("Canonical(%q) is not canonical: %q", got, again)
		}
	}
}

// A refusal names the character. Joiners are in names of several scripts: with and without them it
// is one identifier.
func TestCanonicalNamesTheCharacter(t *testing.T) {
	for in, want := range map[string]string{
		"علی\u200cرضا": "علیرضا", "👩\u200d👧": "👩👧", "a\ue000": "a\ue000", "a\U0001fae9": "a\U0001fae9", "ab\u2028": "ab",
	} {
		if got, err := directory.Canonical(in); err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		" a b": "it has U+0020, a space or a line break, as character 2", "ab\u2028c": "it has U+2028, a space or a line break, as character 3",
		"é\x1b[": "it has U+001B, a control character, as character 2", "a\ufffe": "it has U+FFFE, which is no character, as character 2",
		"a\ufffd": "it has U+FFFD, which stands for a character that was lost, as character 2", "é\xe9": "it is not UTF-8: byte 3 is 0xe9",
		"a\u00a8": "it has U+0020, a space or a line break, as character 2", // NFKC makes a space of it
	} {
		if _, err := directory.Canonical(in); err == nil || err.Error() != directory.ErrBadIdentifier.Error()+": "+want {
			t.Errorf("Canonical(%q) = %v, want %q", in, err, want)
		}
	}
}

// LOGIN-11: the one spelling of a character is its own spelling, for every character, and
// letters of every script are the same in both cases.
func TestCanonicalOfEveryCharacter(t *testing.T) {
	for r := range unicode.MaxRune {
		if got, err := directory.Canonical(string(r)); err == nil {
			if again, err := directory.Canonical(got); err != nil || again != got {
				t.Errorf("Canonical(%U) = %q, and of that %q, %v", r, got, again, err)
			}
		}
	}
	for _, pair := range [][2]string{{"Ꭰ", "ꭰ"}, {"Ᏽ", "ᏽ"}, {"Ა", "ა"}, {"Σ", "ς"}} {
		capital, _ := directory.Canonical(pair[0])
		if small, _ := directory.Canonical(pair[1]); small == "" || small != capital {
			t.Errorf("Canonical(%q) = %q, Canonical(%q) = %q, want one", pair[0], capital, pair[1], small)
		}
	}
}

func TestIdentifiersAreUnique(t *testing.T) {
	d := open(t, memory.New())
	var wg sync.WaitGroup
	made := make(chan string, 50)
	for n := range 50 {
		wg.Go(func() {
			u, err := d.Create(context.Background(), audit.Act{}, directory.User{Identifier: []string{"alice", "ALICE", " Alice"}[n%3]})
			if err == nil {
				made <- u.ID
			} else if !errors.Is(err, directory.ErrTaken) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 {
		t.Fatalf("%d users have one identifier", len(made))
	}
	if u, err := d.ByIdentifier(t.Context(), "aLiCe"); err != nil || u.ID != <-made {
		t.Errorf("ByIdentifier = %+v, %v", u, err)
	}
	if _, err := d.ByIdentifier(t.Context(), "bob"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ByIdentifier(bob) = %v, want ErrNotFound", err)
	}
}

// A user is written as it was read, or not at all, and what is due with it.
func TestWriteIsCompareAndSwap(t *testing.T) {
	d := open(t, memory.New())
	u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 30 {
		wg.Go(func() {
			for {
				u, due, err := d.Read(context.Background(), u.ID)
				if err != nil {
					t.Error(err)
					return
				}
				u.Roles, u.Version, due.Roles = append(u.Roles, strconv.Itoa(n)), u.Version+1, true
				if err := d.Write(context.Background(), u, &due, audit.Entry{}); err == nil {
					return
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	u, due, err := d.Read(t.Context(), u.ID)
	if err != nil || len(u.Roles) != 30 || u.Version != 30 || !due.Pending() || !due.Roles {
		t.Fatalf("after 30 changes: %+v, due %+v, %v", u, due, err)
	}
	if err := d.Write(t.Context(), u, &due, audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Settled(t.Context(), u.ID, due); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Settled of what was due before = %v, want ErrConflict", err)
	}
	if _, due, err = d.Read(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Settled(t.Context(), u.ID, due); err != nil {
		t.Fatal(err)
	}
	for id, err := range d.Unsettled(t.Context()) {
		t.Errorf("Unsettled yields %s, %v", id, err)
	}
}

// SES-02, SES-03: only the whole key counts, and only its hash is kept.
func TestAPIKeys(t *testing.T) {
	s := memory.New()
	d := open(t, s)
	if _, _, err := d.NewKey(t.Context(), audit.Act{}, directory.APIKey{Client: "svc", Scopes: []string{"everything"}}); !errors.Is(err, directory.ErrBadKey) {
		t.Error("a key with an unknown scope was made")
	}
	for length, want := range map[int]error{0: directory.ErrBadKey, 200: nil, 201: directory.ErrBadKey} { // as the audience of a client
		k := directory.APIKey{Client: "svc", Scopes: []string{directory.ScopeIntrospect}, Audience: []string{strings.Repeat("a", length)}}
		if _, _, err := d.NewKey(t.Context(), audit.Act{}, k); !errors.Is(err, want) {
			t.Errorf("NewKey for an audience of %d bytes = %v, want %v", length, err, want)
		}
	}
	for life, want := range map[time.Duration]error{-time.Hour: directory.ErrBadKey, time.Hour: nil, 365*24*time.Hour + time.Hour: directory.ErrBadKey} {
		k := directory.APIKey{Client: "svc", Scopes: []string{directory.ScopeFeed}, Expires: time.Now().Add(life)}
		if _, _, err := d.NewKey(t.Context(), audit.Act{}, k); !errors.Is(err, want) {
			t.Errorf("NewKey for %v = %v, want %v", life, err, want)
		}
	}
	for _, c := range []struct {
		exp    string
		scopes []string
		want   error
	}{
		{directory.ExpBound, []string{directory.ScopeIntrospect}, nil},
		{"never", []string{directory.ScopeIntrospect}, directory.ErrBadKey},
		{directory.ExpBound, []string{directory.ScopeSessions}, directory.ErrBadKey},
		{directory.ExpBound, []string{directory.ScopeIntrospect, directory.ScopeFeed}, directory.ErrBadKey}, // it hears of revocations
	} {
		_, key, err := d.NewKey(t.Context(), audit.Act{}, directory.APIKey{Client: "svc", Scopes: c.scopes, IntrospectionExp: c.exp})
		if !errors.Is(err, c.want) {
			t.Errorf("NewKey with introspection_exp %s for %v = %v, want %v", c.exp, c.scopes, err, c.want)
		}
		if c.want == nil {
			if k, err := d.Key(t.Context(), key.Reveal()); err != nil || k.IntrospectionExp != c.exp {
				t.Errorf("Key = %+v, %v, want introspection_exp %s", k, err, c.exp)
			}
		}
	}
	for range 500 { // of 64 hashes one begins with a dash
		k, _, err := d.NewKey(t.Context(), audit.Act{}, directory.APIKey{Client: "svc", Scopes: []string{directory.ScopeFeed}})
		if err != nil || k.ID[0] == '-' {
			t.Fatalf("NewKey = %q, %v: commands take such an id for a flag", k.ID, err)
		}
	}
	made, key, err := d.NewKey(t.Context(), audit.Act{}, directory.APIKey{Client: "svc", Scopes: []string{directory.ScopeFeed}})
	if err != nil {
		t.Fatal(err)
	}
	if life := made.Expires.Sub(made.Created); life != 90*24*time.Hour {
		t.Errorf("a key lives for %v, want 90 days", life)
	}
	full := key.Reveal()
	if got, err := d.Key(t.Context(), full); err != nil || got.Client != "svc" || got.Scopes[0] != directory.ScopeFeed {
		t.Errorf("Key = %+v, %v", got, err)
	}
	for _, bad := range []string{"", full[:len(full)-1], full + "A", strings.ToLower(full), full[4:], "cfk_" + strings.Repeat("A", 43)} {
		if _, err := d.Key(t.Context(), bad); !errors.Is(err, login.ErrRefused) {
			t.Errorf("Key(%d characters) = %v, want ErrRefused", len(bad), err)
		}
	}
	for r, err := range s.List(t.Context(), "apikey", "*", "") {
		if err != nil || strings.Contains(r.ID+string(r.Value), full[4:]) {
			t.Errorf("the store holds the key: %+v, %v", r, err)
		}
	}
}

// A page has a bound, whatever is asked for, and the pages together have every user once.
func TestPages(t *testing.T) {
	d := open(t, memory.New())
	for n := range directory.MaxPage + 5 {
		if _, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "user" + strconv.Itoa(n)}); err != nil {
			t.Fatal(err)
		}
	}
	first, more, err := d.List(t.Context(), "", 10_000)
	if err != nil || len(first) != directory.MaxPage || !more {
		t.Fatalf("the first page has %d users, %v, %v", len(first), more, err)
	}
	rest, more, err := d.List(t.Context(), first[len(first)-1].ID, 0)
	if err != nil || len(rest) != 5 || more || rest[0].ID <= first[len(first)-1].ID {
		t.Errorf("the second page has %d users, %v, %v", len(rest), more, err)
	}
}

// A user who is imported can keep an id. No two users have one, and none is a path or a word of
// the store's.
func TestImportedID(t *testing.T) {
	d, err := directory.New(directory.Options{Store: memory.New()})
	if err != nil {
		t.Fatal(err)
	}
	add := func(id, identifier string) (directory.User, error) {
		return d.Import(t.Context(), audit.Act{}, directory.User{ID: id, Identifier: identifier}, nil)
	}
	if u, err := add("auth0|7", "carol"); err != nil || u.ID != "auth0|7" {
		t.Fatalf("Import = %+v, %v", u, err)
	}
	if u, err := d.ByID(t.Context(), "auth0|7"); err != nil || u.Identifier != "carol" {
		t.Errorf("ByID = %+v, %v", u, err)
	}
	if _, err := add("auth0|7", "dave"); !errors.Is(err, directory.ErrBadUser) {
		t.Errorf("an id of another user = %v, want ErrBadUser", err)
	}
	if _, err := add("auth0|7", "carol"); !errors.Is(err, directory.ErrTaken) {
		t.Errorf("the same user again = %v, want ErrTaken", err)
	}
	for _, bad := range []string{"*", ".", "..", directory.Nobody, "a/b", "usr_a/totp", "/", "a//b", "a b", "ä", "a\n", strings.Repeat("a", 201)} {
		if _, err := add(bad, "dave"); !errors.Is(err, directory.ErrBadUser) {
			t.Errorf("id %q = %v, want ErrBadUser", bad, err)
		}
	}
	if u, err := d.Create(t.Context(), audit.Act{}, directory.User{ID: "chosen", Identifier: "erin"}); err != nil || u.ID == "chosen" {
		t.Errorf("Create with an id = %+v, %v, want one of its own", u, err)
	}
}
