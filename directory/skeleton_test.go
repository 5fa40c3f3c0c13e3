package directory_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"golang.org/x/text/unicode/norm"
)

// LOGIN-11: no user is added with an identifier that looks like the one of another user (UTS 39),
// in any of the ways to add one.
func TestConfusableIdentifiers(t *testing.T) {
	d := open(t, memory.New())
	ways := map[string]func(string) error{
		"Create": func(name string) error {
			_, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: name})
			return err
		},
		"CreateInvited": func(name string) error {
			_, _, _, err := d.CreateInvited(t.Context(), audit.Act{}, directory.User{Identifier: name})
			return err
		},
		"Import": func(name string) error {
			_, err := d.Import(t.Context(), audit.Act{}, directory.User{Identifier: name}, nil)
			return err
		},
		"Available": func(name string) error { return d.Available(t.Context(), name) },
	}
	for _, pair := range [][2]string{
		{"alice@example.org", "аlice@example.org"}, // Cyrillic а
		{"paypal", "paypa1"},
		{"scope", "ѕсоре"}, // all Cyrillic
		{"modern", "modem"},
		{"ρaul", "paul"}, // Greek ρ
		{"é.β", "é.ꞵ"},
		{"carol", "carol\u2800"}, {"dave", "\U0001d159dave"}, {"eve", "e\U00016fe4ve"}, {"frank", "frank\ue000"}, // without ink
	} {
		if err := ways["Create"](pair[0]); err != nil {
			t.Fatal(err)
		}
		for way, add := range ways {
			if err := add(pair[1]); !errors.Is(err, directory.ErrConfusable) || !errors.Is(err, directory.ErrTaken) {
				t.Errorf("%s(%q) beside %q = %v, want ErrConfusable", way, pair[1], pair[0], err)
			}
			if err := add(pair[0]); !errors.Is(err, directory.ErrTaken) || errors.Is(err, directory.ErrConfusable) {
				t.Errorf("%s(%q) again = %v, want ErrTaken alone", way, pair[0], err)
			}
			if _, err := d.IDOf(t.Context(), pair[1]); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q signs in as %q: %v", pair[1], pair[0], err)
			}
		}
	}
	for _, name := range []string{"bob0", "bobo", "bob", "b0b", "anna2", "annaz", "müller", "muller"} {
		if err := ways["Create"](name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// An identifier is free again when its user is deleted.
func TestSkeletonGoesWithTheUser(t *testing.T) {
	d := open(t, memory.New())
	for _, name := range []string{"paypal", "paypa1", "paypal"} {
		u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: name})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if u, err = d.ByID(t.Context(), u.ID); err == nil {
			err = d.Delete(t.Context(), u, audit.Entry{Action: audit.DeleteUser})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Users of an earlier version keep identifiers that look alike. The first that is written is
// from then on the one that nobody may look like; deleting the other changes nothing of that.
func TestSkeletonOfEarlierUsers(t *testing.T) {
	s := memory.New()
	d := open(t, s)
	var twins []directory.User
	for _, name := range []string{"paypal", "paypa1"} {
		u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: name})
		if err != nil {
			t.Fatal(err)
		}
		for rec, err := range s.List(t.Context(), "skeleton", "*", "") {
			if err == nil {
				_, err = s.Commit(t.Context(), store.Batch{Delete: []store.Key{rec.Key}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if u, err = d.ByID(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		twins = append(twins, u)
	}
	for _, u := range twins {
		u.Name = "written"
		if err := d.Write(t.Context(), u, nil, audit.Entry{Action: audit.ChangeUser}); err != nil {
			t.Fatalf("%q: %v", u.Identifier, err)
		}
	}
	u, err := d.ByID(t.Context(), twins[1].ID)
	if err == nil {
		err = d.Delete(t.Context(), u, audit.Entry{Action: audit.DeleteUser})
	}
	if err != nil {
		t.Fatal(err)
	}
	err = d.Available(t.Context(), "paypa1")
	if !errors.Is(err, directory.ErrConfusable) || !strings.Contains(err.Error(), twins[0].ID) {
		t.Errorf("Available = %v, want ErrConfusable with %s", err, twins[0].ID)
	}
}

// A record of a skeleton that cannot be read still keeps others away, and its user can be
// disabled and deleted.
func TestSkeletonIsDamaged(t *testing.T) {
	for _, damage := range []string{"{", "{}", `{"user":7}`} {
		s := memory.New()
		d := open(t, s)
		u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "paypal"})
		if err != nil {
			t.Fatal(err)
		}
		for rec, err := range s.List(t.Context(), "skeleton", "*", "") {
			if err == nil {
				rec.Value = []byte(damage)
				_, err = s.Commit(t.Context(), store.Batch{Put: []store.Record{rec}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if _, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "paypa1"}); !errors.Is(err, directory.ErrConfusable) {
				t.Errorf("%s: Create = %v, want ErrConfusable", damage, err)
			}
		}
		if u, err = d.ByID(t.Context(), u.ID); err == nil {
			u.Status = directory.Disabled
			err = d.Write(t.Context(), u, nil, audit.Entry{Action: audit.ChangeUser})
		}
		if err != nil {
			t.Errorf("%s: Write = %v", damage, err)
		}
		if u, err = d.ByID(t.Context(), u.ID); err == nil {
			err = d.Delete(t.Context(), u, audit.Entry{Action: audit.DeleteUser})
		}
		if err != nil {
			t.Errorf("%s: Delete = %v", damage, err)
		}
	}
}

// The data has no character that no identifier has: it would be dead weight.
func TestConfusablesAreInIdentifiers(t *testing.T) {
	data, err := os.ReadFile("confusables.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		code, _, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(code, 16, 21)
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := directory.Canonical(string(rune(n)))
		if err != nil || !strings.ContainsRune(norm.NFD.String(canonical), rune(n)) {
			t.Errorf("%s is in no identifier: %q, %v", code, canonical, err)
		}
	}
}

// LOGIN-04: the skeleton of the longest identifier is bounded, whatever it is made of.
func FuzzSkeleton(f *testing.F) {
	for _, r := range []string{"m", "ﷺ", "⩴", "㌀", "ǘ", "ᾂ", "𝅘𝅥𝅮", "א", "\u0344"} {
		f.Add(strings.Repeat(r, directory.MaxIdentifier/len(r)))
	}
	f.Fuzz(func(t *testing.T, in string) {
		canonical, err := directory.Canonical(in)
		if err != nil {
			return
		}
		got := directory.Skeleton(canonical)
		if len(got) > 20*directory.MaxIdentifier || !utf8.ValidString(got) {
			t.Errorf("Skeleton(%q) has %d bytes", canonical, len(got))
		}
		if again := directory.Skeleton(got); again != got {
			t.Errorf("Skeleton(%q) = %q, and of that %q", canonical, got, again)
		}
	})
}
