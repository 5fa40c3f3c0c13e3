// Package storetest has the contract of package store as tests. Every engine passes [Run],
// and an engine that can be moved passes [RunMove]. [Faulty] returns a store that fails on
// purpose, for the tests of packages that use a store.
package storetest

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// rounds is the size of each race.
var rounds = flag.Int("storetest.rounds", 10_000, "rounds of each race of the store contract")

// lines has a test for each line of the contract.
var lines = []struct {
	name string
	test func(*testing.T, store.Store)
}{
	{"Commit/all or nothing", allOrNothing},
	{"Commit/all or nothing when cancelled at any time", cancelledCommits},
	{"Commit/revisions", revisions},
	{"Commit/Require checks and writes nothing", require},
	{"Commit/conditions are checked before anything is deleted", conditionsFirst},
	{"Commit/a Put survives a DeleteOwned and a Delete", putSurvives},
	{"Commit/a Put moves a record to its new owner", newOwner},
	{"Commit/deleting what is absent is no error", deleteAbsent},
	{"Commit/limits", limits},
	{"Commit/Get returns a record as it was put", roundTrip},
	{"Commit/one winner of a compare-and-swap", oneWinner},
	{"Commit/a late write does not resurrect a deleted record", noResurrection},
	{"Commit/deletes of an owner race with its writes", ownerRace},
	{"Remember/a head beyond the log shows that entries are lost", remember},
	{"Describe/says why it is not durable", describe},
	{"Get/many keys at once", many},
	{"Log/entries are in commit order", commitOrder},
	{"Log/a commit that revokes is serial", serialRevocations},
	{"Log/cursor, limit and head", log},
	{"Log/pages are complete up to their last entry", logPages},
	{"Log/Log returns an entry as it was committed", logEntries},
	{"Log/a new epoch begins with an empty log", newEpoch},
	{"List/records of an owner in order, from any id on", list},
	{"List/many pages", listPages},
	{"List/the caller may use the store meanwhile", listAndUse},
	{"Search/records by the texts of the last Put, in order, from any position on", search},
	{"Search/many pages, of an indexed store or not", searchPages},
	{"Search/shows each commit that has returned, whole", searchWhole},
	{"Count/how many records have a text that begins with a prefix, up to a limit", count},
	{"Search/records from before the index get their texts", reindex},
	{"Sweep/drops expired records and entries, and no others", sweep},
	{"Sweep/other calls run meanwhile", sweepInBatches},
	{"Time/is the engine's own clock, and runs", engineTime},
	{"Wait/wakes at every move of the head", wait},
	{"Wait/wakes at Close", waitClose},
	{"Errors/an absent record is ErrNotFound", absent},
	{"Errors/a context that has ended is an outage", contexts},
	{"Errors/a closed store is an outage", closed},
}

// Run tests the stores that open returns against the contract. Each must be empty. Run closes
// them.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, line := range lines {
		t.Run(line.name, func(t *testing.T) {
			s := open(t)
			line.test(t, s)
			must(t, s.Close())
		})
	}
}

func rec(id, owner string, rev uint64) store.Record {
	return store.Record{Key: key(id), Owner: owner, Rev: rev, Value: []byte(`{}`)}
}

func key(id string) store.Key { return store.Key{Kind: "thing", ID: id} }

func put(s store.Store, r ...store.Record) error {
	_, err := s.Commit(context.Background(), store.Batch{Put: r})
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// conflicts fails the test unless the commit returns ErrConflict.
func conflicts(t *testing.T, s store.Store, what string, b store.Batch) {
	t.Helper()
	if _, err := s.Commit(t.Context(), b); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%s = %v, want ErrConflict", what, err)
	}
}

func ids(t *testing.T, s store.Store, owner string) string {
	t.Helper()
	return idsAfter(t, s, owner, "")
}

func idsAfter(t *testing.T, s store.Store, owner, after string) string {
	t.Helper()
	var out []string
	for r, err := range s.List(t.Context(), "thing", owner, after) {
		must(t, err)
		out = append(out, r.ID)
	}
	return strings.Join(out, " ")
}

func entry(id string, expires time.Time) source.Revocation {
	return source.Revocation{Scope: source.ScopeSession, ID: id, Expires: expires}
}

// revoke appends one entry. It may be called from any goroutine of the test.
func revoke(t *testing.T, s store.Store, id string, expires time.Time) counterfoil.Cursor {
	t.Helper()
	head, err := s.Commit(context.Background(), store.Batch{Revoke: []source.Revocation{entry(id, expires)}})
	if err != nil {
		t.Error(err)
	}
	return head
}
