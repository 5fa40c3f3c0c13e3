package server_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// exported reads an export in both formats, and fails unless their rows are of the same ids.
func (b *bench) exported(query string) (table [][]string, lines []map[string]any) {
	b.Helper()
	w, cut := b.export(query+"&format=csv", b.key, nil)
	table, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || cut || w.Code != http.StatusOK {
		b.Fatalf("%s: %d, cut %t, %v", query, w.Code, cut, err)
	}
	w, cut = b.export(query+"&format=jsonl", b.key, nil)
	for in := json.NewDecoder(w.Body); in.More(); {
		var line map[string]any
		must(b.T, in.Decode(&line))
		lines = append(lines, line)
	}
	if len(lines) != len(table)-1 || cut {
		b.Fatalf("%s: %d lines and %d rows", query, len(lines), len(table))
	}
	for n, line := range lines {
		if line["id"] != table[n+1][0] {
			b.Errorf("%s: line %d is of %v, and the row of %s", query, n, line["id"], table[n+1][0])
		}
	}
	return table, lines
}

// An export of users has all for whom the filters hold, no cell of it is a formula, and it has
// neither a password nor an invitation.
func TestExportUsers(t *testing.T) {
	t.Parallel()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	secrets := []string{pass, "password_hash", "$argon2", "scrypt", "cfi_", "invitation"}
	for n := range 2*directory.MaxPage + 10 {
		u := directory.User{Identifier: fmt.Sprintf("user%d", n), Name: "=HYPERLINK(\"https://evil.test\")"}
		if n%3 == 0 {
			u.Roles = []string{"staff", "night"}
		}
		_, token, _, err := b.users.CreateInvited(t.Context(), rights.Owner(), audit.Act{}, u)
		must(t, err)
		secrets = append(secrets, token.Reveal())
	}
	for query, want := range map[string]int{"users?": 411, "users?role=staff": 137, "users?q=user12": 11, "users?q=alice": 1, "users?disabled=true": 0, "users?created=2000-01-01T00:00:00Z": 411} {
		table, lines := b.exported(query)
		if len(lines) != want || !slices.Equal(table[0], []string{"id", "identifier", "name", "status", "roles", "has_password", "created", "address", "address_verified"}) {
			t.Errorf("%s: %d users, want %d, %q", query, len(lines), want, table[0])
		}
		for n, row := range table[1:] {
			name, _ := lines[n]["name"].(string)
			if row[1] != lines[n]["identifier"] || strings.HasPrefix(row[2], "=") || strings.TrimPrefix(row[2], "'") != name || query == "users?role=staff" && row[4] != "night staff" && row[4] != "staff night" {
				t.Fatalf("%s: %q and %v", query, row, lines[n])
			}
		}
		all := fmt.Sprint(table, lines)
		for _, secret := range secrets {
			if strings.Contains(all, secret) {
				t.Errorf("%s: the export has %q", query, secret)
			}
		}
	}
}

// An export of sessions has all that live and for which the filters hold, the damaged ones
// too, and no credential or token of them.
func TestExportSessions(t *testing.T) {
	t.Parallel()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	held := b.session("usr_many", issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: "=Phone"})
	jwt := b.session("usr_jwt", issuer.Request{Carrier: counterfoil.CarrierBearer, Client: "app", UserAgent: "Laptop"}, "staff", "night")
	b.copies(held.Session.ID, 2*issuer.MaxPage)
	_, err := b.db.Commit(t.Context(), store.Batch{Put: []store.Record{{Key: store.Key{Kind: "session", ID: "ses_damaged"}, Owner: "usr_damaged", Value: []byte("{")}}})
	must(t, err)
	for query, want := range map[string]int{"sessions?": 403, "sessions?user=usr_many": 401, "sessions?device=phone": 401, "sessions?client=app": 1, "sessions?carrier=bearer": 1, "sessions?user=nobody": 0, "sessions?user=usr_damaged": 1} {
		table, lines := b.exported(query)
		if len(lines) != want || len(table[0]) != 22 || table[0][1] != "subject" {
			t.Errorf("%s: %d sessions, want %d, %q", query, len(lines), want, table[0])
		}
		for n, row := range table[1:] {
			if row[1] != lines[n]["subject"] {
				t.Fatalf("%s: %q and %v", query, row, lines[n])
			}
			switch row[1] {
			case "usr_many":
				if row[13] != "'=Phone" || row[21] != "" || lines[n]["device"] != "=Phone" {
					t.Fatalf("%s: %q", query, row)
				}
			case "usr_jwt":
				if row[2] != "app" || row[3] != "bearer" || row[11] != "staff night" || row[19] != "app" {
					t.Errorf("%s: %q", query, row)
				}
			case "usr_damaged":
				if row[0] != "ses_damaged" || row[21] != "true" || lines[n]["damaged"] != true || len(lines[n]) != 3 {
					t.Errorf("%s: %q and %v", query, row, lines[n])
				}
			}
		}
		all := fmt.Sprint(table, lines)
		for _, secret := range []string{held.Access.Reveal(), jwt.Access.Reveal(), jwt.Refresh.Reveal(), "cfr_", "eyJ"} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: the export has %q", query, secret)
			}
		}
	}
}

// An export of users or sessions ends when its reader may not have it any more, or goes, or the store
// fails, and no part is taken for the whole. Those of one caller are two at a time.
func TestExportListsEnd(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"users", "sessions"} {
		b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
		held := b.session("usr_many", issuer.Request{Carrier: counterfoil.CarrierCookie})
		b.copies(held.Session.ID, issuer.MaxPage+10)
		for n := range directory.MaxPage + 10 {
			_, _, _, err := b.users.CreateInvited(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: fmt.Sprintf("user%d", n)})
			must(t, err)
		}
		reader := b.session("usr_reader", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleSupport)
		if w, cut := b.export(list+"?format=csv", reader.Access.Reveal(), nil); w.Code != http.StatusOK || cut {
			t.Errorf("%s: %d, cut %t: want all of it", list, w.Code, cut)
		}
		other := b.session("usr_other", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, "staff")
		if w, _ := b.export(list+"?format=csv", other.Access.Reveal(), nil); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d to somebody without a role", list, w.Code)
		}
		if _, cut := b.export(list+"?format=jsonl", reader.Access.Reveal(), func() error {
			_, err := b.issuer.Revoke(t.Context(), source.ScopeSession, reader.Session.ID, audit.Act{})
			return err
		}); !cut {
			t.Errorf("%s goes on, although the session ended", list)
		}
		if _, cut := b.export(list+"?format=csv", b.key, func() error { return errors.New("broken pipe") }); !cut {
			t.Errorf("%s: the client went, and the connection was not cut", list)
		}
		last := 0
		var nested func() error
		nested = func() error {
			w, _ := b.export(list+"?format=csv", b.key, nested)
			if w.Code != http.StatusOK {
				last = w.Code
			}
			return nil
		}
		must(t, nested())
		if last != http.StatusTooManyRequests {
			t.Errorf("%s: too many at a time are answered %d", list, last)
		}
		if w, cut := b.export(list+"?format=csv", b.key, b.db.Close); w.Code != http.StatusOK || !cut {
			t.Errorf("%s in an outage: %d, cut %t: want a cut", list, w.Code, cut)
		}
	}
}

// A parameter that is empty counts as absent, whichever it is, in each list.
func TestEmptyParameters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for list, names := range map[string][]string{
		"users": {"q", "role", "disabled", "created", "created_before", "count", "format"}, "sessions": {"user", "client", "carrier", "address", "device", "acr", "since", "count", "format"},
		"audit": {"subject", "by", "action", "outcome", "from", "to", "format"}, "verifiers": nil,
	} {
		for _, name := range append(names, "limit", "cursor") {
			b.admin(http.StatusOK, "GET", "/v1/admin/"+list+"?"+name+"=", "")
		}
		if slices.Contains(names, "format") {
			if w, cut := b.export(list+"?format=csv&limit=&cursor=", b.key, nil); w.Code != http.StatusOK || cut {
				t.Errorf("an export of %s with an empty limit and cursor = %d, cut %t", list, w.Code, cut)
			}
		}
		b.admin(http.StatusBadRequest, "GET", "/v1/admin/"+list+"?nothing=", "")
	}
}

// Each export that begins is in the audit trail before its first row goes: who made it, and of what. What
// is refused is not.
func TestExportsAreAudited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	reader := b.session("usr_reader", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleSupport)
	told := func() (all []string) {
		entries, _, err := b.issuer.Audit().List(t.Context(), audit.Query{Actions: []audit.Action{audit.Export}})
		must(t, err)
		for _, e := range entries {
			all = append(all, e.By+" "+e.Target+" "+e.Detail)
		}
		return all
	}
	for _, query := range []string{"users?format=pdf", "users?format=csv&limit=5", "users?format=csv&disabled=maybe", "audit?format=csv&action=x", "users", "users?format="} {
		if b.export(query, b.key, nil); told() != nil {
			t.Errorf("%s is told as %q", query, told())
		}
	}
	b.export("audit?format=csv", reader.Access.Reveal(), nil)
	if told() != nil {
		t.Errorf("an export that is forbidden is told as %q", told())
	}
	for n, ask := range [][3]string{
		{"users?format=csv&q=al&role=", b.key, "key:bench users format=csv&q=al"}, {"sessions?device=a%26b&format=jsonl", reader.Access.Reveal(), "subject:usr_reader sessions device=a%26b&format=jsonl"},
		{"audit?format=csv", b.key, "key:bench audit format=csv"},
	} {
		w, cut := b.export(ask[0], ask[1], func() error {
			if got := told(); len(got) != n+1 || got[0] != ask[2] {
				t.Errorf("when the first row goes, %q is told, want %q", got, ask[2])
			}
			return nil
		})
		if w.Code != http.StatusOK || cut {
			t.Errorf("%s = %d, cut %t", ask[0], w.Code, cut)
		}
	}
}

// The console has links to the exports of what its filters found.
func TestConsoleExports(t *testing.T) {
	t.Parallel()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	b.session("usr_jwt", issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "Laptop"})
	v := b.console(time.Minute, "support")
	v.open("/admin/users?q=ali").link("Export as CSV").at(http.StatusOK, ",alice,Alice,active,")
	v.open("/admin/users?q=ali&created=2020-01-02").link("Export as JSONL").at(http.StatusOK, `"identifier":"alice"`)
	v.open("/admin/sessions?device=laptop").link("Export as CSV").at(http.StatusOK, ",usr_jwt,default,bearer,")
	v.open("/admin/sessions?device=laptop").link("Export as JSONL").at(http.StatusOK, `"subject":"usr_jwt"`)
	if n := strings.Count(v.page.Body.String(), "\n"); n != 1 {
		t.Errorf("%d sessions are exported, want those that the filter is for", n)
	}
	v.open("/admin/sessions?device=nothing").at(http.StatusOK, "No session is found")
	if strings.Contains(v.page.Body.String(), "Export as") {
		t.Error("nothing can be exported")
	}
}
