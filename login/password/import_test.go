package password_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

const oldHash, oldPassword = "$2b$04$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "pässword of olden days"

// LOGIN-03: the first login with a hash from elsewhere makes one of ours.
func TestAdopt(t *testing.T) {
	p, users := newPasswords(t)
	if _, _, err := p.Adopt("$1$x$y"); !errors.Is(err, password.ErrHash) {
		t.Errorf("Adopt = %v, want ErrHash", err)
	}
	hash, work, err := p.Adopt(oldHash)
	if err != nil || hash != oldHash || !maps.Equal(work, directory.Work{"bcrypt": 16}) {
		t.Fatalf("Adopt = %s, %v, %v", hash, work, err)
	}
	if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: "old@example.org", Password: hash}, work); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prove(t.Context(), attempt("old@example.org", oldPassword+"x")); !errors.Is(err, login.ErrRefused) {
		t.Errorf("Prove(wrong) = %v", err)
	}
	for range 2 {
		if _, err := p.Prove(t.Context(), attempt("old@example.org", oldPassword)); err != nil {
			t.Fatalf("Prove = %v", err)
		}
		if got, err := users.ByIdentifier(t.Context(), "old@example.org"); err != nil || !strings.HasPrefix(got.Password, "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("after a login it is %s, %v", got.Password, err)
		}
	}
}

// LOGIN-06: once users with hashes that cost differently are there, every refusal does the same
// work: of an imported user, of one of ours, of nobody, of one who is disabled. So it takes the
// same time, however busy the machine is.
func TestRefusalsCostTheSameWork(t *testing.T) {
	now := time.Now()
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	p := newProver(t, db, users, newThrottle(t, db, func() time.Time { return now }), password.Options{})
	if _, err := users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "ours", Password: password.Hash(good, 64, 1)}); err != nil {
		t.Fatal(err)
	}
	const salt, sum = "$c2FsdHNhbHRzYWx0", "$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU"
	all := []string{"ours", "nobody"}
	work := p.Record()
	refused := func(want map[string]int) {
		t.Helper()
		for _, name := range all {
			clear(work)
			now = now.Add(time.Hour) // what throttles forgets
			if _, err := p.Prove(t.Context(), attempt(name, "wrong")); !errors.Is(err, login.ErrRefused) {
				t.Errorf("Prove(%s) = %v", name, err)
			}
			if !maps.Equal(work, want) {
				t.Errorf("refusing %s is the work %v, want %v", name, work, want)
			}
		}
	}
	const ours = "argon2id m=64,p=1"
	refused(map[string]int{ours: 1})
	for _, u := range []struct {
		name, hash string
		status     string
		want       map[string]int
	}{
		{"cost 4", oldHash, "", map[string]int{ours: 1, "bcrypt": 16}},
		{"cost 6", "$2b$06$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", "", map[string]int{ours: 1, "bcrypt": 64}},
		{"cost 5, gone", "$2b$05$NXuVJcpgiw5QyWw5h/OexeqkC3Ezivx7sl/vpSdKHU1F86fr3YBQK", directory.Disabled, map[string]int{ours: 1, "bcrypt": 64}},
		{"1000 iterations", "$pbkdf2-sha256$i=1000" + salt + sum, "", map[string]int{ours: 1, "bcrypt": 64, "pbkdf2-sha256": 1000}},
		{"1500 iterations", "$pbkdf2-sha256$i=1500" + salt + sum, "", map[string]int{ours: 1, "bcrypt": 64, "pbkdf2-sha256": 1500}},
		{"scrypt", "$scrypt$ln=4,r=8,p=1" + salt + sum, "", map[string]int{ours: 1, "bcrypt": 64, "pbkdf2-sha256": 1500, "scrypt ln=4,r=8": 1}},
		{"more passes", "$argon2id$v=19$m=64,t=3,p=1" + salt + sum, "", map[string]int{ours: 3, "bcrypt": 64, "pbkdf2-sha256": 1500, "scrypt ln=4,r=8": 1}},
	} {
		hash, cost, err := p.Adopt(u.hash)
		if err != nil {
			t.Fatalf("%s: %v", u.name, err)
		}
		name := strings.NewReplacer(" ", "", ",", "").Replace(u.name)
		if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: name, Status: u.status, Password: hash}, cost); err != nil {
			t.Fatalf("%s: %v", u.name, err)
		}
		all = append(all, name)
		refused(u.want)
	}
	_, cost, err := p.Adopt("$pbkdf2-sha1$i=1000" + salt + sum)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: "fifth"}, cost); !errors.Is(err, directory.ErrBadUser) {
		t.Errorf("Import of a fifth kind = %v, want ErrBadUser", err)
	}
}

// importedBefore is users whose earlier version kept how long a refusal lasts.
func importedBefore(t *testing.T, last time.Duration) (prover, *directory.Directory) {
	t.Helper()
	db := memory.New()
	users, err := directory.New(directory.Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Commit(t.Context(), store.Batch{Put: []store.Record{{
		Key: store.Key{Kind: "import", ID: "work"}, Value: fmt.Appendf(nil, `{"milliseconds":%d}`, last.Milliseconds()),
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := users.Import(t.Context(), audit.Act{}, directory.User{Identifier: "old", Password: oldHash}, nil); err != nil {
		t.Fatal(err)
	}
	return newProver(t, db, users, newThrottle(t, db, nil), password.Options{}), users
}

// LOGIN-06: where an earlier version imported users, every refusal takes as long as it did.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, users := importedBefore(t, 3*time.Second)
		if _, err := users.Create(t.Context(), audit.Act{}, directory.User{Identifier: "ours", Password: password.Hash(good, 64, 1)}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ours", "old", "nobody"} {
			begun := time.Now()
			if _, err := p.Prove(t.Context(), attempt(name, "wrong")); !errors.Is(err, login.ErrRefused) {
				t.Errorf("Prove(%s) = %v", name, err)
			}
			if took := time.Since(begun); took != 3*time.Second {
				t.Errorf("refusing %s takes %v, want 3 s", name, took)
			}
		}
	})
}

// LOGIN-09: who goes away before the refusal has guessed all the same. The right password
// is answered sooner than a wrong one, so there is no need to wait for that.
func TestLeavingEarlyIsAGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := importedBefore(t, 3*time.Second)
		guess := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := p.Prove(ctx, attempt("old", "wrong"))
			return err
		}
		for range 5 {
			if err := guess(); err == nil || isThrottled(err) {
				t.Fatalf("guess = %v", err)
			}
		}
		if err := guess(); !isThrottled(err) {
			t.Errorf("after five wrong guesses = %v, want Throttled", err)
		}
	})
}
