package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
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
		got := ""
		for after, n := "", 0; n == 0 || after != ""; n++ {
			var page []audit.Entry
			var err error
			if page, after, err = trail.List(t.Context(), audit.Query{Subject: subject, After: after, Limit: 3}); err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got += e.Detail
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
	for year, want := range map[int]int{1600: 0, 9000: 5} { // nanoseconds count neither
		page, _, err := trail.List(t.Context(), audit.Query{To: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil || len(page) != want {
			t.Errorf("List to the year %d = %d entries, %v, want %d", year, len(page), err, want)
		}
	}
}

// A query by action or time looks at a bounded number of entries, and goes on where it stopped.
func TestListOfSome(t *testing.T) {
	db, now := memory.New(), time.Unix(1e9, 0)
	trail := newTrail(t, audit.Options{Store: db, Hook: func(audit.Entry) {}, Now: func() time.Time { return now }})
	const many = 12_000
	for n := range many {
		now = now.Add(time.Second)
		action := audit.Login
		if n%4000 == 0 {
			action = audit.RotateKey
		}
		if _, err := trail.Commit(t.Context(), db, store.Batch{}, audit.Act{}.Entry(action, "alice")); err != nil {
			t.Fatal(err)
		}
	}
	for want, q := range map[int]audit.Query{
		3:    {Actions: []audit.Action{audit.RotateKey}},
		1:    {Actions: []audit.Action{audit.RotateKey}, From: now.Add(-4000 * time.Second)},
		101:  {From: now.Add(-100 * time.Second)},
		many: {Actions: []audit.Action{audit.RotateKey, audit.Login}},
		0:    {From: now.Add(time.Second)},
		10:   {Subject: "alice", From: now.Add(-9 * time.Second)},
		999:  {Subject: "alice", To: now.Add(-11_000 * time.Second)},
		4999: {To: now.Add(-7000 * time.Second)}, // in five pages: the 7000 above cost nothing
	} {
		got, pages := 0, 0
		for after := ""; pages == 0 || after != ""; pages++ {
			q.After, q.Limit = after, 1000
			page, next, err := trail.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got, after = got+len(page), next
		}
		if got != want || want == 3 && pages != 3 || want == 4999 && pages != 5 {
			t.Errorf("%+v gives %d entries in %d pages, want %d", q, got, pages, want)
		}
	}
}

// A query finds the entries that it asks for, whatever their texts have in them, and those that cannot be read where they may be meant.
func TestListWithOddTexts(t *testing.T) {
	db := memory.New()
	trail := newTrail(t, audit.Options{Store: db, Hook: func(audit.Entry) {}})
	odd := []string{`key:a"b`, `key:<a>&b`, "key:ä\u2028", `key:\`, "key:\x01\xff", `key:x","action":"logout`}
	for _, by := range odd {
		if _, err := trail.Commit(t.Context(), db, store.Batch{}, audit.Act{By: by}.Entry(audit.Login, "alice")); err != nil {
			t.Fatal(err)
		}
	}
	broken := store.Record{Key: store.Key{Kind: "audit", ID: "7fffffffffffffffbroken"}, Owner: "alice", Expires: time.Now().Add(time.Hour), Value: []byte(`{"by":`)}
	if _, err := db.Commit(t.Context(), store.Batch{Put: []store.Record{broken}}); err != nil {
		t.Fatal(err)
	}
	count := func(q audit.Query, want int) {
		t.Helper()
		page, _, err := trail.List(t.Context(), q)
		if len(page) != want || err != nil {
			t.Errorf("%+v gives %v, %v, want %d entries", q, page, err, want)
		}
	}
	all, _, err := trail.List(t.Context(), audit.Query{})
	if len(all) != len(odd)+1 || err != nil {
		t.Fatalf("%v, %v", all, err)
	}
	for _, e := range all {
		count(audit.Query{By: e.By}, 1)
		count(audit.Query{By: e.By, Actions: []audit.Action{e.Action}, Outcomes: []audit.Outcome{e.Outcome}}, 1)
		count(audit.Query{By: e.By, Actions: []audit.Action{audit.Logout}}, 0)
	}
	count(audit.Query{Actions: []audit.Action{audit.Login}}, len(odd))
	count(audit.Query{Actions: []audit.Action{audit.Logout, audit.Damaged}}, 1)
	count(audit.Query{Outcomes: []audit.Outcome{audit.Unknown}}, 1)
	count(audit.Query{Outcomes: []audit.Outcome{audit.OK}, By: audit.ByUnknown}, 0)
}

// Every action that the package has can be asked for.
func TestActions(t *testing.T) {
	source, err := os.ReadFile("audit.go")
	if err != nil {
		t.Fatal(err)
	}
	var named []audit.Action
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Action = "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		named = append(named, audit.Action(m[1]))
	}
	all := audit.Actions()
	slices.Sort(named)
	slices.Sort(all)
	if !slices.Equal(all, named) {
		t.Errorf("Actions() = %v, the package has %v", all, named)
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

// An entry knows after it was read what its commit wrote to the revocation log, and shows it to nobody.
func TestWrote(t *testing.T) {
	db := memory.New()
	trail := newTrail(t, audit.Options{Store: db, Hook: func(audit.Entry) {}})
	expires := time.Now().Add(time.Hour)
	entry := func(scope source.Scope, id string) source.Revocation {
		return source.Revocation{Scope: scope, ID: id, Expires: expires}
	}
	var act audit.Act
	old, made := act.Entry(audit.Logout, "alice"), act.Entry(audit.Login, "alice")
	old.Session, made.Session = "s1", "s2"
	_, err := trail.Commit(t.Context(), db, store.Batch{Revoke: []source.Revocation{entry(source.ScopeSession, "s1"), entry(source.ScopeClaims, "alice")}}, old, made, audit.Entry{})
	if err != nil {
		t.Fatal(err)
	}
	var many store.Batch
	for n := range 100 {
		many.Revoke = append(many.Revoke, entry(source.ScopeSession, fmt.Sprint("many", n)))
	}
	if _, err := trail.Commit(t.Context(), db, many, act.Entry(audit.Revoke, "bob")); err != nil {
		t.Fatal(err)
	}
	entries, _, err := trail.List(t.Context(), audit.Query{})
	if err != nil || len(entries) != 3 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		wrote := e.Wrote()
		switch e.Action {
		case audit.Logout:
			if len(wrote) != 1 || wrote[0].Scope != source.ScopeSession || wrote[0].ID != "s1" || wrote[0].Expires.Unix() != expires.Unix() {
				t.Errorf("the end of a session wrote %v", wrote)
			}
		case audit.Login:
			if len(wrote) != 1 || wrote[0].Scope != source.ScopeClaims || wrote[0].ID != "alice" {
				t.Errorf("the login wrote %v", wrote)
			}
		default:
			if len(wrote) != 32 {
				t.Errorf("a commit of very many kept %d", len(wrote))
			}
		}
		if text, err := json.Marshal(e); err != nil || bytes.Contains(text, []byte("wrote")) {
			t.Errorf("an entry shows it: %s, %v", text, err)
		}
	}
}
