package source_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// One credential or none, and never the content of anything but the header and
// the one cookie.
func FuzzFindCredential(f *testing.F) {
	f.Add("Bearer abc", "", "a=b; __Host-Http-cf=x")
	f.Add("", "Basic YTpi", "__Host-Http-cf=x; __Host-Http-cf=y")
	f.Add(" bearer   x ", "", "__Host-Http-cf=")
	f.Add("bearer  x", "Bearer", "$Version=1; \u2000__Host-Http-cf=x;;=;")
	f.Fuzz(func(t *testing.T, one, two, cookie string) {
		r := &http.Request{Header: http.Header{}}
		for _, field := range []string{one, two} {
			if field != "" {
				r.Header["Authorization"] = append(r.Header["Authorization"], field)
			}
		}
		if cookie != "" {
			r.Header["Cookie"] = []string{cookie}
		}
		c, err := source.FindCredential(r, source.CookieName)
		one, two = strings.Trim(one, " \t"), strings.Trim(two, " \t") // as HTTP does
		switch {
		case err != nil && c != (source.Credential{}):
			t.Errorf("a credential with %v", err)
		case err == nil && c.Transport == counterfoil.Header && (one != "" && two != "" || !strings.HasSuffix(one+two, " "+c.Value) || c.Value == ""):
			t.Errorf("found %q in %q and %q", c.Value, one, two)
		case err == nil && c.Transport == counterfoil.Cookie && (one+two != "" || strings.Count(cookie, source.CookieName+"="+c.Value) == 0):
			t.Errorf("found %q in %q", c.Value, cookie)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"0123456789abcdef.1", "0123456789ABCDEF.1", "0123456789abcdef.01", ".", "0123456789abcdef.9007199254740992"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := source.ParseCursor(s); err == nil && c.String() != s {
			t.Errorf("%q parses, and is written as %q", s, c)
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, s := range pages {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p, again source.Page
		if json.Unmarshal(data, &p) != nil {
			return
		}
		first, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%s parses, and cannot be written: %v", data, err)
		}
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s parses, and is written as %s, which does not: %v", data, first, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is written as %s, and then as %s (%v)", data, first, second, err)
		}
	})
}

const goodPage = `{"after":"0123456789abcdef.0","upto":"0123456789abcdef.7","head":"0123456789abcdef.7","time":"2026-01-02T03:04:05Z","proof":"p","entries":[{"seq":7,"scope":"session","id":"ses_1","exp":1767323100},{"seq":3,"scope":"all","exp":1767323100}]}`

// pages are goodPage, then what must be refused.
var pages = []string{
	goodPage,
	strings.Replace(goodPage, `"time"`, `"Time"`, 1),
	strings.Replace(goodPage, `"exp"`, `"Exp"`, 1),
	strings.Replace(goodPage, `"seq":7`, `"seq":7,"seq":8`, 1),
	strings.Replace(goodPage, `"seq":7`, `"seq":7,"extra":8`, 1),
	strings.Replace(goodPage, `"seq":7`, `"seq":"7"`, 1),
	strings.Replace(goodPage, `"seq":7`, `"seq":-7`, 1),
	strings.Replace(goodPage, `"seq":7`, `"seq":9007199254740992`, 1),
	strings.Replace(goodPage, `"seq":7,`, ``, 1),
	strings.Replace(goodPage, `"id":"ses_1"`, `"id":""`, 1),
	strings.Replace(goodPage, `"id":"ses_1"`, `"id":"`+strings.Repeat("x", 300)+`"`, 1),
	strings.Replace(goodPage, `"head"`, `"hat"`, 1),
	strings.Replace(goodPage, `{"after"`, `{"extra":1,"after"`, 1),
	strings.Replace(goodPage, `"after":"0123456789abcdef.0"`, `"after":null`, 1),
	strings.Replace(goodPage, `"after":"0123456789abcdef.0"`, `"after":"0123456789ABCDEF.0"`, 1),
	goodPage[:len(goodPage)-1],
	goodPage + "{}",
	`{"after":"0123456789abcdef.0","upto":"0123456789abcdef.7","head":"0123456789abcdef.7","time":"2026-01-02T03:04:05Z","proof":"p","entries":null}`,
	strings.Replace(goodPage, `"proof":"p"`, `"proof":"`+strings.Repeat("x", 65)+`"`, 1),
	`null`, `[]`, `{}`,
}

// A verifier that starts reads the whole log: an entry costs the memory that it needs, and little
// more.
func TestReadingAPageCostsLittle(t *testing.T) {
	const entries = 1000
	scopes := []source.Scope{
		source.ScopeSession, source.ScopeGrant, source.ScopeToken, source.ScopeSubject, source.ScopeOthers, source.ScopeClient,
		source.ScopeKey, source.ScopeAll, source.ScopeClaims,
	}
	p := source.Page{Upto: at(entries), Head: at(entries), After: at(0), Time: time.Unix(1e9, 0)}
	for n := range uint64(entries) {
		p.Entries = append(p.Entries, source.Revocation{At: at(n + 1), Scope: scopes[n%uint64(len(scopes))], ID: "ses_1", Expires: time.Unix(2e9, 0)})
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var read source.Page
	if n := testing.AllocsPerRun(10, func() { err = read.UnmarshalJSON(data) }); err != nil || n > entries+entries/10 || !reflect.DeepEqual(read.Entries, p.Entries) {
		t.Errorf("%d entries cost %v allocations, %v", len(read.Entries), n, err)
	}
}

func TestPageJSON(t *testing.T) {
	var p source.Page
	if err := json.Unmarshal([]byte(goodPage), &p); err != nil {
		t.Fatal(err)
	}
	want := source.Revocation{At: counterfoil.Cursor{Epoch: 0x0123456789abcdef, Seq: 7}, Scope: source.ScopeSession, ID: "ses_1", Expires: time.Unix(1767323100, 0)}
	if len(p.Entries) != 2 || p.Entries[0] != want || !p.Complete() {
		t.Errorf("page = %+v", p)
	}
	if again, err := json.Marshal(p); err != nil || string(again) != goodPage {
		t.Errorf("written again: %s, %v", again, err)
	}
	for _, s := range pages[1:] {
		if err := json.Unmarshal([]byte(s), &p); err == nil {
			t.Errorf("%s is accepted", s)
		}
	}
}
