package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

func newTrail(t *testing.T, o audit.Options) *audit.Trail {
	t.Helper()
	trail, err := audit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

// OPS-03: an entry is there exactly when the change is.
func TestCommitKeepsBothOrNeither(t *testing.T) {
	db := memory.New()
	var heard []audit.Entry
	trail := newTrail(t, audit.Options{Store: db, Hook: func(e audit.Entry) { heard = append(heard, e) }})
	change := store.Batch{Put: []store.Record{{Key: store.Key{Kind: "thing", ID: "a"}, Value: []byte("{}")}}}
	act := audit.Act{By: audit.BySubject("alice"), Reason: "why not"}
	if _, err := trail.Commit(t.Context(), db, change, act.Entry(audit.SetSubject, "alice")); err != nil {
		t.Fatal(err)
	}
	if _, err := trail.Commit(t.Context(), db, change, act.Entry(audit.SetSubject, "alice")); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("second Commit = %v, want ErrConflict", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := trail.Commit(t.Context(), db, change, act.Entry(audit.SetSubject, "alice")); err == nil {
		t.Fatal("Commit on a closed store succeeded")
	}
	var outcomes []audit.Outcome
	for _, e := range heard {
		outcomes = append(outcomes, e.Outcome)
	}
	if fmt.Sprint(outcomes) != "[ok unknown]" {
		t.Errorf("the hook heard %v, want ok, nothing for the conflict, unknown for the outage", outcomes)
	}
}

func TestList(t *testing.T) {
	db, now := memory.New(), time.Unix(1e9, 0)
	trail := newTrail(t, audit.Options{Store: db, Keep: time.Hour, Hook: func(audit.Entry) {}, Now: func() time.Time { return now }})
	for n := range 10 {
		now = now.Add(time.Second)
		e := audit.Act{}.Entry(audit.Login, []string{"alice", "bob"}[n%2])
		e.Detail = fmt.Sprint(n)
		if _, err := trail.Commit(t.Context(), db, store.Batch{}, e); err != nil {
			t.Fatal(err)
		}
	}
	for subject, want := range map[string]string{"": "9876543210", "alice": "86420", "carol": ""} {
		got, after, more := "", "", true
		for more {
			var page []audit.Entry
			var err error
			if page, more, err = trail.List(t.Context(), audit.Query{Subject: subject, After: after, Limit: 3}); err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got, after = got+e.Detail, e.ID
			}
		}
		if got != want {
			t.Errorf("List(%q) = %s, want %s", subject, got, want)
		}
	}
	now = now.Add(time.Hour - 5*time.Second)
	if page, _, err := trail.List(t.Context(), audit.Query{}); err != nil || len(page) != 5 {
		t.Errorf("List after an hour = %d entries, %v, want the 5 that are not past their time", len(page), err)
	}
}

func TestNothingIsKeptWhenKeepIsNegative(t *testing.T) {
	db, heard := memory.New(), 0
	trail := newTrail(t, audit.Options{Store: db, Keep: -1, Hook: func(audit.Entry) { heard++ }})
	if _, err := trail.Commit(t.Context(), db, store.Batch{}, audit.Act{}.Entry(audit.Login, "alice")); err != nil {
		t.Fatal(err)
	}
	if page, _, err := trail.List(t.Context(), audit.Query{}); err != nil || len(page) != 0 || heard != 1 {
		t.Errorf("List = %v, %v, heard %d; want nothing kept and one heard", page, err, heard)
	}
}

// OPS-02: whatever comes in stays one line of JSON, and of bounded length.
func TestHostileTexts(t *testing.T) {
	var out bytes.Buffer
	trail := newTrail(t, audit.Options{Store: memory.New(), Hook: audit.Log(slog.New(slog.NewJSONHandler(&out, nil)))})
	e := audit.Act{By: "key:\n{\"level\":1}\u202e\x1b[2J", Reason: strings.Repeat("é", 5000)}.Entry(audit.Login, "alice")
	trail.Tell(e)
	if bytes.Count(out.Bytes(), []byte("\n")) != 1 || !json.Valid(out.Bytes()) {
		t.Errorf("log = %q, want one line of JSON", out.String())
	}
	if s := out.String(); strings.ContainsAny(s, "\u202e\x1b") || len(s) > 1000 {
		t.Errorf("log = %q, want it escaped and cut", s)
	}
}

// What people write is kept as it is, if it does no harm where it is shown.
func TestTextsOfPeople(t *testing.T) {
	for text, want := range map[string]string{
		"علی\u200cرضا 👩\u200d👧 \u0378\ue000": "علی\u200cرضا 👩\u200d👧 \u0378\ue000", "a\u2066b\uffff\x7f": `a\u2066b\uffff\u007f`,
	} {
		var told audit.Entry
		trail := newTrail(t, audit.Options{Store: memory.New(), Hook: func(e audit.Entry) { told = e }})
		if trail.Tell(audit.Act{Reason: text}.Entry(audit.Login, "alice")); told.Reason != want {
			t.Errorf("%q is kept as %q, want %q", text, told.Reason, want)
		}
	}
}
