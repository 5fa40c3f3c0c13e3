package counterfoil_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// One credential or none, and never the content of anything but the header and
// the one cookie.
func FuzzFindCredential(f *testing.F) {
	f.Add("Bearer abc", "", "a=b; __Host-Http-cf=x")
	f.Add("", "Basic YTpi", "__Host-Http-cf=x; __Host-Http-cf=y")
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
		c, err := counterfoil.FindCredential(r, counterfoil.CookieName)
		switch {
		case err != nil && c != (counterfoil.Credential{}):
			t.Errorf("a credential beside %v", err)
		case err == nil && c.Transport == counterfoil.Header && (one != "" && two != "" || !strings.HasSuffix(one+two, " "+c.Value) || c.Value == ""):
			t.Errorf("found %q in %q and %q", c.Value, one, two)
		case err == nil && c.Transport == counterfoil.Cookie && (one+two != "" || strings.Count(cookie, counterfoil.CookieName+"="+c.Value) == 0):
			t.Errorf("found %q in %q", c.Value, cookie)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"0123456789abcdef.1", "0123456789ABCDEF.1", "0123456789abcdef.01", ".", "0123456789abcdef.9007199254740992"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := counterfoil.ParseCursor(s); err == nil && c.String() != s {
			t.Errorf("%q parses, and is written as %q", s, c)
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, s := range pages {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p, again counterfoil.Page
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

// What an issuer answers, or whoever stands in between. A look-up says that there is a
// session, or that there is none, or that it could not be asked; a sequence of pages is
// taken whole or is an error (RFC 7464 section 2.4).
func FuzzRemote(f *testing.F) {
	f.Add([]byte(`{"active":false}`))
	f.Add([]byte(`{"active":true,"iss":"i","sub":"s","sid":"ses_1","exp":1767323100,"rv":"0123456789abcdef.1","aud":["a"],"scope":"a b"}`))
	f.Add([]byte(`{"active":true,"Active":false,"sub":"s"}`))
	f.Add([]byte("\x1e" + goodPage + "\n\x1e" + goodPage + "\n"))
	f.Add([]byte("\x1e" + goodPage + "\n\x1e" + goodPage))
	f.Add([]byte("\x1e\x1e" + goodPage + "\n"))
	for _, s := range pages {
		f.Add([]byte("\x1e" + s + "\n"))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		source, err := counterfoil.Remote("https://auth.test", counterfoil.RemoteOptions{Transport: answer(body)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := source.Lookup(t.Context(), "x")
		switch {
		case err == nil && (s == nil || s.ID == "" || s.Subject == "" || json.Unmarshal(body, new(any)) != nil):
			t.Errorf("%s is read as %+v", body, s)
		case err != nil && (s != nil || errors.Is(err, counterfoil.ErrInvalidToken) == errors.Is(err, counterfoil.ErrUnavailable)):
			t.Errorf("%s: %+v beside %v", body, s, err)
		}
		applied := 0
		err = counterfoil.Pages(t.Context(), source, counterfoil.Follow{}, func(counterfoil.Page) error { applied++; return nil })
		if records := bytes.Count(body, []byte{0x1e}); err == nil && (applied != records || applied == 0 || !bytes.HasSuffix(body, []byte("\n"))) {
			t.Errorf("%q: %d pages of %d records, and no error", body, applied, records)
		}
	})
}

// answer is what a server says to everything.
type answer []byte

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/json-seq"}}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a)), Header: h, Request: r}, nil
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

func TestPageJSON(t *testing.T) {
	var p counterfoil.Page
	if err := json.Unmarshal([]byte(goodPage), &p); err != nil {
		t.Fatal(err)
	}
	want := counterfoil.Revocation{At: counterfoil.Cursor{Epoch: 0x0123456789abcdef, Seq: 7}, Scope: counterfoil.ScopeSession, ID: "ses_1", Expires: time.Unix(1767323100, 0)}
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
