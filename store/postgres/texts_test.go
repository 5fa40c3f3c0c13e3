package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

func oldCommit(t *testing.T, old *pgx.Conn, b store.Batch) {
	t.Helper()
	var done bool
	if err := old.QueryRow(t.Context(), postgres.OldCommitSQL, postgres.OldArguments(b)...).Scan(&done, nil, nil, nil); err != nil || !done {
		t.Fatalf("commit of the old node = %v, %v", done, err)
	}
}

// A node of the version before writes no texts. What it deletes is found no more, what it changes
// is found as before, and what it adds takes the note away that all records have texts.
func TestOldNodeKeepsTheTexts(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	s := open(t, dsn)
	texts := func(r store.Record, text string) store.Record {
		r.Index = []string{text}
		return r
	}
	note := store.Record{Key: store.Key{Kind: "texts", ID: string(thing("a").Kind)}, Value: []byte("1")}
	commit(t, s, store.Batch{Put: []store.Record{note, texts(thing("a"), "t1"), texts(thing("b"), "t2")}})
	changed := thing("b")
	changed.Rev = 1
	oldCommit(t, connect(t, dsn), store.Batch{Delete: []store.Key{thing("a").Key}, Put: []store.Record{changed, thing("c")}})
	if _, err := store.One(t.Context(), s, note.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the note that all records have their texts: %v, want it gone", err)
	}
	var found []string
	for m, err := range s.Search(t.Context(), thing("a").Kind, "t", store.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, m.Text+"/"+m.ID)
	}
	if len(found) != 1 || found[0] != "t2/b" {
		t.Errorf("Search = %v, want t2/b", found)
	}
	changed.Rev = 2
	commit(t, s, store.Batch{Put: []store.Record{texts(changed, "t3"), texts(func() store.Record { r := thing("c"); r.Rev = 1; return r }(), "t4")}})
	if n, _, err := s.Count(t.Context(), thing("a").Kind, "t", 10); n != 2 || err != nil {
		t.Errorf("Count = %d, %v, want 2", n, err)
	}
}

// What a node of the version before adds or changes while Reindex runs gets its texts too: from that
// Reindex, or from the next one.
func TestReindexBesideAnOldNode(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	s, old := open(t, dsn), connect(t, dsn)
	oldCommit(t, old, store.Batch{Put: []store.Record{thing("b"), thing("c"), thing("d")}})
	kind, meanwhile := thing("a").Kind, true
	reindex := func() {
		err := store.Reindex(t.Context(), s, kind, 1, func(r store.Record) []string {
			if r.ID == "c" && meanwhile { // "a" comes behind what was read
				meanwhile = false
				changed := thing("b")
				changed.Rev = 1
				oldCommit(t, old, store.Batch{Put: []store.Record{changed, thing("a")}, Delete: []store.Key{thing("d").Key}})
			}
			return []string{"t" + r.ID}
		}, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 3} {
		reindex()
		if n, _, err := s.Count(t.Context(), kind, "t", 10); n != want || err != nil {
			t.Errorf("Count = %d, %v, want %d", n, err, want)
		}
	}
}
