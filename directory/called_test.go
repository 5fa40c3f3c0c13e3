package directory_test

import (
	"context"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// counted counts reads.
type counted struct {
	store.Store
	gets, keys int
}

func (c *counted) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	c.gets, c.keys = c.gets+1, c.keys+len(keys)
	return c.Store.Get(ctx, keys...)
}

// What users are called is one read of the users alone, however many they are, and whatever stands where an id
// should.
func TestCalled(t *testing.T) {
	db := &counted{Store: memory.New()}
	d := open(t, db)
	alice, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "alice@example.org", Name: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	bob, err := d.Create(t.Context(), audit.Act{}, directory.User{Identifier: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	damaged := store.Record{Key: store.Key{Kind: "user", ID: "usr_damaged"}, Value: []byte("{")}
	if _, err := db.Commit(t.Context(), store.Batch{Put: []store.Record{damaged}}); err != nil {
		t.Fatal(err)
	}
	db.gets, db.keys = 0, 0
	got, err := d.Called(t.Context(), alice.ID, bob.ID, alice.ID, "", "usr_nobody", "usr_damaged", "no id", strings.Repeat("x", 201), "é")
	if err != nil || len(got) != 2 || got[alice.ID] != (directory.Called{Name: "Alice", Identifier: "alice@example.org"}) || got[bob.ID] != (directory.Called{Identifier: "bob"}) {
		t.Errorf("Called = %v, %v", got, err)
	}
	if db.gets != 1 || db.keys != 4 {
		t.Errorf("%d reads of %d records, want one of 4", db.gets, db.keys)
	}
	if got, err := d.Called(t.Context(), ""); err != nil || len(got) != 0 || db.gets != 1 {
		t.Errorf("Called of nobody = %v, %v, with %d reads", got, err, db.gets)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Called(t.Context(), alice.ID); err == nil {
		t.Errorf("in an outage Called = %v", got)
	}
}
