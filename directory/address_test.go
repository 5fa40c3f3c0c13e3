package directory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// LOGIN-11: an address has one spelling, one @, and nothing that a mail server or a reader could
// take for something else.
func TestCanonicalAddress(t *testing.T) {
	for typed, want := range map[string]string{
		"ada@example.com": "ada@example.com", " Ada.Lovelace+x@Example.COM ": "ada.lovelace+x@example.com",
		"a@xn--bcher-kva.example": "a@xn--bcher-kva.example", "o'neil@example.org": "o'neil@example.org",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",

		"": "", "ada": "", "@example.com": "", "ada@": "", "ada@localhost": "", "ada@evil@example.com": "",
		"ada@example.com\r\nBcc: eve@example.com": "", "ada@example.com,eve@example.com": "", "ada @example.com": "", "Ada <ada@example.com>": "",
		".ada@example.com": "", "ada.@example.com": "", "a..da@example.com": "", "\"ada\"@example.com": "", "ada@[127.0.0.1]": "",
		"ada@-example.com": "", "ada@example..com": "", "ada@example.com.": "", "ada@exa_mple.com": "", "ädä@example.com": "", "ada@bücher.example": "", "a@ab--c.example": "", "a@xn--a.example": "",
		"ada\x00@example.com": "", strings.Repeat("a", 65) + "@example.com": "", "a@" + strings.Repeat("b", 64) + ".com": "", "a@" + strings.Repeat("b.", 130) + "com": "",
	} {
		got, err := directory.CanonicalAddress(typed)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, directory.ErrBadAddress) {
			t.Errorf("CanonicalAddress(%q) = %q, %v, want %q", typed, got, err, want)
		}
	}
}

// A user whose identifier is an address has that one, not verified, also one that an earlier version made.
func TestAddressOfIdentifier(t *testing.T) {
	s := memory.New()
	_, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{{
		Key:   store.Key{Kind: "user", ID: "usr_old"},
		Value: []byte(`{"identifier":"old@example.com","status":"active","created":"2026-01-02T03:04:05Z"}`),
	}}})
	must(t, err)
	d := open(t, s)
	for identifier, want := range map[string]string{"Ada@example.com": "ada@example.com", "bob": "", "x@corp": "", "müller@example.com": ""} {
		u, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: identifier})
		must(t, err)
		if u, err = d.ByID(t.Context(), u.ID); err != nil || u.Address != want || !u.Verified.IsZero() {
			t.Errorf("%s has %q, verified %v, %v, want %q", identifier, u.Address, u.Verified, err, want)
		}
	}
	old, err := d.ByID(t.Context(), "usr_old")
	if err != nil || old.Address != "old@example.com" || !old.Verified.IsZero() {
		t.Errorf("the user of an earlier version has %q, verified %v, %v", old.Address, old.Verified, err)
	}
}

// A verified address is one user's alone; a claimed one is nobody's. It is found, it moves, and it is free
// again after its user.
func TestVerifiedAddressIsUnique(t *testing.T) {
	s := memory.New()
	d := open(t, s)
	now := time.Now().UTC().Truncate(time.Second)
	make := func(identifier, address string, verified time.Time) (directory.User, error) {
		return d.Create(t.Context(), audit.Act{}, directory.User{Identifier: identifier, Address: address, Verified: verified})
	}
	ada, err := make("ada", "Mail@Example.com", now)
	must(t, err)
	bob, err := make("bob", "mail@example.com", time.Time{})
	must(t, err)
	if _, err := make("carol", "mail@example.com", now); !errors.Is(err, directory.ErrAddressTaken) {
		t.Errorf("a second user with the address, verified = %v, want ErrAddressTaken", err)
	}
	if _, err := make("mail@example.com", "", time.Time{}); !errors.Is(err, directory.ErrTaken) {
		t.Errorf("an identifier that is the address of another = %v, want ErrTaken", err)
	}
	if id, err := d.IDOfAddress(t.Context(), " MAIL@example.com"); err != nil || id != ada.ID {
		t.Errorf("IDOfAddress = %q, %v, want %s", id, err, ada.ID)
	}
	found, err := d.Search(t.Context(), directory.Filter{Text: "mail@ex"}, "", 0)
	if err != nil || len(found.Users) != 2 {
		t.Errorf("the search finds %d users by the address, %v, want 2", len(found.Users), err)
	}

	bob, err = d.ByID(t.Context(), bob.ID)
	must(t, err)
	bob.Verified = now
	if err := d.Write(t.Context(), bob, nil, audit.Entry{}); !errors.Is(err, directory.ErrAddressTaken) {
		t.Errorf("Write with the address of another = %v, want ErrAddressTaken", err)
	}
	ada, err = d.ByID(t.Context(), ada.ID)
	must(t, err)
	ada.Address = "other@example.com"
	must(t, d.Write(t.Context(), ada, nil, audit.Entry{}))
	must(t, d.Write(t.Context(), bob, nil, audit.Entry{}))
	if id, err := d.IDOfAddress(t.Context(), "mail@example.com"); err != nil || id != bob.ID {
		t.Errorf("IDOfAddress = %q, %v, want %s", id, err, bob.ID)
	}
	bob, err = d.ByID(t.Context(), bob.ID)
	must(t, err)
	must(t, d.Delete(t.Context(), bob, audit.Entry{}))
	if id, err := d.IDOfAddress(t.Context(), "mail@example.com"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its user, IDOfAddress = %q, %v, want ErrNotFound", id, err)
	}
}
