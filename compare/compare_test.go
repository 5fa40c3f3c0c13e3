package compare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/compare"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// childEnv makes the test binary a process of a run.
const childEnv = "COMPARE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := compare.Child(context.Background(), os.Stdin, os.Stdout, open); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := os.Setenv(childEnv, "1"); err != nil { // for every process that this one starts
		panic(err)
	}
	os.Exit(m.Run())
}

func open(ctx context.Context, place string) (store.Store, error) {
	if path, ok := strings.CutPrefix(place, "sqlite:"); ok {
		return sqlite.Open(ctx, path)
	}
	return memory.New(), nil
}

// options are those of a run that is as short as it can be.
func options(t *testing.T, only ...string) compare.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return compare.Options{
		Version: "test", Child: []string{self}, Only: only, Rounds: 1, Measure: 10 * time.Millisecond, Rate: 500, Users: []int{100}, Callers: 20, Delays: []int{0, 20},
		Stores: []compare.Store{{Kind: "sqlite", Auth: "sqlite:" + filepath.Join(dir, "counterfoil.db"), Plain: "sqlite:" + filepath.Join(dir, "plain.db")}},
	}
}

func run(t *testing.T, only ...string) *compare.Result {
	t.Helper()
	r, err := compare.Run(t.Context(), options(t, only...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// value is the number of a contender in a row.
func value(t *testing.T, r *compare.Result, row, contender string) float64 {
	t.Helper()
	found := r.Row(row)
	if found == nil {
		t.Fatalf("no row %s", row)
	}
	cell := found.Cell(contender)
	if cell == nil || cell.Value == nil {
		t.Fatalf("%s: no number of %s: %+v", row, contender, cell)
	}
	return *cell.Value
}

// A check reads the store as often as its kind says: once for a session or a blocklist, never for a JWT,
// and never for a copy that the verifier has seen.
func TestReadsAreCounted(t *testing.T) {
	r := run(t, "checks", "first")
	for contender, want := range map[string]float64{
		"session-memory": 0, "session-sqlite": 1, "jwt-es256": 0, "jwt-blocklist-sqlite": 1, "jwe": 0,
	} {
		if got := value(t, r, "reads-first", contender); got != want {
			t.Errorf("%s: %v reads of a first check, want %v", contender, got, want)
		}
		if got := value(t, r, "reads", contender); got < want-0.1 || got > want+0.1 { // a request may be under way
			t.Errorf("%s: %v reads of a check, want %v", contender, got, want)
		}
		if got := value(t, r, "writes", contender); got != 0 {
			t.Errorf("%s: %v writes of a check", contender, got)
		}
	}
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		if got := value(t, r, "reads", "counterfoil-"+carrier); got > 0.5 { // the follower reads meanwhile
			t.Errorf("%s: %v reads of a check", carrier, got)
		}
	}
	if got := value(t, r, "reads-first", "counterfoil-cookie"); got < 1 {
		t.Errorf("an opaque cookie is looked up with %v reads", got)
	}
	if r.Partial || len(r.Unfinished) != 0 {
		t.Errorf("partial: %v, %v", r.Partial, r.Unfinished)
	}
}

// The JSON has the members that the package comment lists, and a program that reads it gets the same result.
func TestJSON(t *testing.T) {
	r := run(t, "bytes", "latency-p50")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again compare.Result
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&again); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(again)
	if err != nil || !bytes.Equal(text, second) {
		t.Errorf("%v: read and written again it is another:\n%s\n%s", err, text, second)
	}
	var whole struct {
		Schema     string
		Contenders []map[string]any
		Rows       []map[string]any
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	if whole.Schema != "counterfoil-compare/1" || len(whole.Contenders) < 13 {
		t.Errorf("schema %q, %d contenders", whole.Schema, len(whole.Contenders))
	}
	for _, row := range whole.Rows {
		for _, member := range []string{"id", "group", "title", "how", "unit", "better", "decided", "cells"} {
			if _, ok := row[member]; !ok {
				t.Errorf("row %v has no %s", row["id"], member)
			}
		}
	}
	if len(whole.Rows) != 3 { // of two groups, one by a row
		t.Errorf("%d rows", len(whole.Rows))
	}
	if r.Row("latency-p50").Cell("jwe").Histogram == nil {
		t.Error("no histogram")
	}
	for _, write := range []func(w *bytes.Buffer) error{
		func(w *bytes.Buffer) error { return r.WriteMarkdown(w) },
		func(w *bytes.Buffer) error { return r.WriteGoBench(w) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil || !strings.Contains(b.String(), "session") {
			t.Errorf("%v: %s", err, &b)
		}
	}
}

func TestUnknownRow(t *testing.T) {
	if _, err := compare.Run(t.Context(), options(t, "nothing")); !errors.Is(err, compare.ErrUnknown) {
		t.Errorf("err = %v, want ErrUnknown", err)
	}
}

// An interrupted run returns what was measured: whole groups, and the rounds of the one that it was in.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		after float64 // of the work
		rows  bool
	}{{0.2, false}, {0.9, true}} {
		ctx, cancel := context.WithCancel(t.Context())
		o := options(t, "bytes", "checks", "latency")
		o.Rounds = 3
		begun := 0
		o.Progress = func(_ float64, _ time.Duration, doing string) {
			if doing != "checks on one node" {
				return
			}
			if begun++; begun == 2+int(c.after*3*14) {
				cancel()
			}
		}
		r, err := compare.Run(ctx, o)
		cancel()
		if !errors.Is(err, context.Canceled) || r == nil {
			t.Fatalf("result %v, err %v", r, err)
		}
		if !r.Partial || r.Row("bytes") == nil || (r.Row("cpu") != nil) != c.rows || r.Row("latency-p50") != nil || !slices.Equal(r.Unfinished, []string{"checks", "latency"}) {
			t.Errorf("after %v: partial %v, unfinished %v, %d rows", c.after, r.Partial, r.Unfinished, len(r.Rows))
		}
	}
}

// The revocation of a session, or a list, ends it at every node; with wait=all nothing is accepted after the answer.
// A token lives on until it expires.
func TestRevocation(t *testing.T) {
	t.Parallel() // it waits most of the time
	r := run(t, "revoke")
	for _, contender := range []string{"session-memory", "session-sqlite", "jwt-blocklist-sqlite"} {
		if got := value(t, r, "revoke-after", contender); got != 0 {
			t.Errorf("%s: %v requests accepted after the answer", contender, got)
		}
	}
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		if got := value(t, r, "revoke-all-after", "counterfoil-"+carrier); got != 0 {
			t.Errorf("%s: %v requests accepted after the answer with wait=all", carrier, got)
		}
		if got := value(t, r, "revoke", "counterfoil-"+carrier); got >= 10_000 { // the default bound
			t.Errorf("%s: accepted for %v ms", carrier, got)
		}
	}
	if cell := r.Row("revoke").Cell("jwt-es256"); *cell.Value != 300_000 || cell.Rounds[0] > 2000 || cell.Rounds[0] == 0 {
		t.Errorf("a token of 2 s: %+v", cell)
	}
}

// What an outage does, in words.
func TestOutage(t *testing.T) {
	t.Parallel()
	r := run(t, "outage")
	for row, wants := range map[string]map[string]string{
		"store-down":     {"session-memory": "goes on", "session-sqlite": "at once answers 503, afterwards it is accepted again", "jwt-es256": "goes on"},
		"store-down-new": {"counterfoil-cookie": "at once answers 503", "jwt-blocklist-sqlite": "at once answers 503"},
		"node-down":      {"session-memory": "is signed out", "session-sqlite": "goes on", "jwe": "goes on", "counterfoil-cookie": "goes on"},
	} {
		for contender, want := range wants {
			if got := r.Row(row).Cell(contender).Text; !strings.HasPrefix(got, want) {
				t.Errorf("%s of %s: %q, want %q", row, contender, got, want)
			}
		}
	}
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		got := r.Row("store-down").Cell("counterfoil-" + carrier).Text
		if !strings.HasPrefix(got, "goes on, after ") || !strings.HasSuffix(got, "answers 503, afterwards it is accepted again") {
			t.Errorf("%s: %q", carrier, got)
		}
	}
}

// A refresh, the memory and the network give a row each, with every contender in it.
func TestOtherRows(t *testing.T) {
	t.Parallel()
	r := run(t, "refresh", "memory", "network", "nodes")
	for _, row := range []string{"refresh", "memory-100", "network-0", "network-20", "network-first-20", "rate-3"} {
		found := r.Row(row)
		if found == nil || len(found.Cells) < 13 {
			t.Errorf("row %s: %+v", row, found)
		}
	}
	if got := value(t, r, "network-20", "session-sqlite"); got < 20 {
		t.Errorf("a store 20 ms away: %v ms", got)
	}
	if got := value(t, r, "network-first-20", "counterfoil-cookie"); got < 20 {
		t.Errorf("an auth server 20 ms away: %v ms for a first check", got)
	}
}

// What Chromium shows is what the rules say that it must show, so a machine without Chromium gets the same row.
func TestBrowser(t *testing.T) {
	t.Parallel()
	without := run(t, "browser")
	o := options(t, "browser")
	o.Browser = testsvc.Program(t, "chromium")
	with, err := compare.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"xss", "csrf"} {
		for _, c := range with.Row(row).Cells {
			rule, ok := strings.CutPrefix(without.Row(row).Cell(c.Contender).Text, "not shown here, there is no Chromium; the rule: ")
			if !ok || rule != c.Text {
				t.Errorf("%s of %s: Chromium shows %q, the rule says %q", row, c.Contender, c.Text, rule)
			}
		}
	}
	for contender, want := range map[string]string{
		"jwt-es256": "reads the token", "session-sqlite": "reads nothing;", "counterfoil-cookie": "reads nothing;", "counterfoil-bearer": "finds no token in storage",
	} {
		if got := with.Row("xss").Cell(contender).Text; !strings.HasPrefix(got, want) {
			t.Errorf("xss of %s: %q, want %q", contender, got, want)
		}
	}
	for contender, want := range map[string]string{
		"jwt-es256": "nothing", "session-sqlite": "another site nothing (SameSite); another origin of the same site makes", "counterfoil-cookie": "nothing",
	} {
		if got := with.Row("csrf").Cell(contender).Text; !strings.HasPrefix(got, want) {
			t.Errorf("csrf of %s: %q, want %q", contender, got, want)
		}
	}
}

// A browser that cannot be started is a note in the row, and no error.
func TestNoBrowser(t *testing.T) {
	o := options(t, "browser")
	o.Browser = filepath.Join(t.TempDir(), "chromium")
	r, err := compare.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Row("xss").Cell("jwe").Text; !strings.HasPrefix(got, "not shown here, the browser did not open the pages") {
		t.Errorf("%q", got)
	}
}
