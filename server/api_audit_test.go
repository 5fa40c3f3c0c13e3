package server_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// kept writes n entries to the audit trail, a second apart, from now on.
func (b *bench) kept(n int, reason string) {
	b.Helper()
	now := time.Now()
	for i := range n {
		e := audit.Act{By: audit.BySubject(fmt.Sprintf("usr_%d", i%2)), Reason: reason}.Entry(audit.Revoke, "usr_x")
		if e.Time = now.Add(time.Duration(i+1) * time.Second); i%3 == 0 {
			e.Outcome = audit.Unknown
		}
		_, err := b.issuer.Audit().Commit(b.Context(), b.db, store.Batch{}, e)
		must(b.T, err)
	}
}

// Each filter of the audit trail leaves out what it says, and all of them go together.
func TestAuditFilters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.kept(30, "a test")
	at := func(seconds int) string {
		return url.QueryEscape(time.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339Nano))
	}
	for query, want := range map[string]int{
		"": 30, "by=subject:usr_1": 15, "by=subject:usr_2": 0, "outcome=unknown": 10, "outcome=ok,unknown": 30, "outcome=refused": 0,
		"by=subject:usr_1&outcome=unknown": 5, "from=" + at(-3600): 30, "to=" + at(-3600): 0, "to=1969-01-01T00:00:00Z": 0,
		"to=9999-01-01T00:00:00Z": 30, "from=9999-01-01T00:00:00Z": 0, "from=0001-01-01T00:00:00Z": 30, "to=" + at(3600): 30, "from=" + at(3600): 0,
	} {
		got := b.admin(http.StatusOK, "GET", "/v1/admin/audit?limit=200&action=revoke&"+query, "")["entries"].([]any)
		if len(got) != want {
			t.Errorf("%s: %d entries, want %d", query, len(got), want)
		}
	}
	// from and to meet at a time without a gap, and without an entry twice.
	all := b.admin(http.StatusOK, "GET", "/v1/admin/audit?action=revoke", "")["entries"].([]any)
	middle := url.QueryEscape(all[10].(map[string]any)["time"].(string))
	younger := b.admin(http.StatusOK, "GET", "/v1/admin/audit?action=revoke&from="+middle, "")["entries"].([]any)
	older := b.admin(http.StatusOK, "GET", "/v1/admin/audit?action=revoke&to="+middle, "")["entries"].([]any)
	if len(younger) != 11 || len(older) != 19 {
		t.Errorf("%d entries from, %d to: want 11 and 19", len(younger), len(older))
	}
}

// exporter reads an export as a client that does something when the first part is there.
type exporter struct {
	*httptest.ResponseRecorder
	first func() error
}

func (e *exporter) Write(p []byte) (int, error) {
	if first := e.first; first != nil && e.Code == http.StatusOK {
		e.first = nil
		if err := first(); err != nil {
			return 0, err
		}
	}
	return e.ResponseRecorder.Write(p)
}

// export has the server answer, and reports whether it cut the connection.
func (b *bench) export(query string, credential string, first func() error) (w *httptest.ResponseRecorder, cut bool) {
	e := &exporter{httptest.NewRecorder(), first}
	defer func() {
		if v := recover(); v != nil {
			w, cut = e.ResponseRecorder, v == http.ErrAbortHandler
		}
	}()
	r := httptest.NewRequestWithContext(b.Context(), "GET", "/v1/admin/"+query, nil)
	r.Header.Set("Authorization", "Bearer "+credential)
	b.server.ServeHTTP(e, r)
	return e.ResponseRecorder, false
}

// An export is all that was asked for, in both formats, and no cell of it is a formula.
func TestExport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.kept(2100, "=HYPERLINK(\"https://evil.test\")")
	table, _ := b.export("audit?action=revoke&outcome=ok&format=csv", b.key, nil)
	rows, err := csv.NewReader(table.Body).ReadAll()
	if err != nil || len(rows) != 1401 || rows[0][0] != "id" {
		t.Fatalf("CSV has %d rows, %v", len(rows), err)
	}
	lines, _ := b.export("audit?action=revoke&outcome=ok&format=jsonl", b.key, nil)
	in := json.NewDecoder(lines.Body)
	for n, row := range rows[1:] {
		var e audit.Entry
		must(t, in.Decode(&e))
		if e.ID != row[0] || row[11] != "'"+e.Reason || !strings.HasPrefix(e.Reason, "=") || n > 0 && e.ID <= rows[n][0] {
			t.Fatalf("row %d: %q and %+v", n, row, e)
		}
	}
	for name, want := range map[string]string{"Content-Type": "text/csv; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if got := table.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if d := table.Header().Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="audit-20`) || !strings.HasSuffix(d, `Z.csv"`) {
		t.Errorf("Content-Disposition is %q", d)
	}
}

// An export ends, and makes room, when its client goes or may not have it any more. A part is
// never taken for the whole.
func TestExportEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.kept(1500, "a test")
	for range 6 { // more than may run at a time
		if w, cut := b.export("audit?format=csv", b.key, nil); w.Code != http.StatusOK || cut {
			t.Fatalf("%d, cut %t: want all of it", w.Code, cut)
		}
		if _, cut := b.export("audit?format=csv", b.key, func() error { return errors.New("broken pipe") }); !cut {
			t.Error("the client went, and the connection was not cut")
		}
	}
	reader := b.session("usr_reader", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleAdmin)
	if w, cut := b.export("audit?format=csv", reader.Access.Reveal(), func() error {
		_, err := b.issuer.Revoke(t.Context(), source.ScopeSession, reader.Session.ID, audit.Act{})
		return err
	}); !cut {
		t.Errorf("%d, although the session ended", w.Code)
	}
	// Each export begins the next, until no more may run: two of one caller, and four in all.
	depth, last := 0, 0
	callers := []string{b.watcher("one"), b.watcher("one"), b.watcher("two"), b.watcher("two"), b.watcher("three")}
	var nested func() error
	nested = func() error {
		if depth++; depth == 5 { // who only reads does not keep a revocation out
			b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"filter":{"device":"x"},"dry_run":true}`)
		}
		if depth == 3 {
			if w, _ := b.export("audit?format=csv", b.watcher("one"), nil); w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "one caller") {
				t.Errorf("a third export of one caller is %d %s", w.Code, w.Body)
			}
		}
		w, _ := b.export("audit?format=csv", callers[depth-1], nested)
		if w.Code != http.StatusOK {
			last = w.Code
		}
		return nil
	}
	must(t, nested())
	if depth != 5 || last != http.StatusTooManyRequests {
		t.Errorf("%d exports at a time, then %d", depth, last)
	}
}

// An outage before an export is an answer, and one in the middle of it cuts the connection.
func TestExportOutage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.kept(1500, "a test")
	if w, cut := b.export("audit?format=jsonl", b.key, b.db.Close); w.Code != http.StatusOK || !cut {
		t.Errorf("%d, cut %t: want a cut", w.Code, cut)
	}
	if w, cut := b.export("audit?format=jsonl", b.key, nil); w.Code != http.StatusServiceUnavailable || cut {
		t.Errorf("%d, cut %t: want 503", w.Code, cut)
	}
}
