package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// publicRoute is a route that anybody can call, with the fields that it reads.
type publicRoute struct {
	method, path, media string          // media: of the body; empty: the fields are in the query
	fields              map[string]bool // true: it is an object
}

// pageFields are the fields of the forms of pages: no document lists them.
var pageFields = map[string][]string{
	"POST /login": {"identifier", "password"}, "POST /register": {"identifier", "password", "name"},
	"POST /login/continue": {"attempt", "answer"}, "POST /welcome": {"token", "password"},
	"POST /sessions/revoke": {"sid"}, "POST /session/step-up": {"password"}, "POST /password": {"current", "next"}, "POST /notices/dismiss": {"id"},
}

// publicRoutes are all routes but administration that read a field from a body or a query.
func publicRoutes() (all []publicRoute) {
	d := readDocument()
	for path, methods := range d.Paths {
		if strings.HasPrefix(path, "/v1/admin/") {
			continue
		}
		for method, op := range methods {
			query := publicRoute{method: strings.ToUpper(method), path: path, fields: map[string]bool{}}
			for _, p := range op.Parameters {
				if p.In == "query" {
					query.fields[p.Name] = false
				}
			}
			if len(query.fields) > 0 {
				all = append(all, query)
			}
			for media, content := range op.RequestBody.Content {
				route := publicRoute{query.method, path, media, map[string]bool{}}
				for name, s := range content.Schema["properties"].(schema) {
					route.fields[name] = s.(schema)["type"] == "object"
				}
				all = append(all, route)
			}
		}
	}
	for pattern, names := range pageFields {
		method, path, _ := strings.Cut(pattern, " ")
		route := publicRoute{method: method, path: path, fields: map[string]bool{}}
		if method == "POST" {
			route.media = urlencoded
		}
		for _, name := range names {
			route.fields[name] = false
		}
		all = append(all, route)
	}
	slices.SortFunc(all, func(a, b publicRoute) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

func (p publicRoute) names() []string { return slices.Sorted(maps.Keys(p.fields)) }

// request is a call with text in the field of that name, and something short in the others.
func (p publicRoute) request(name, text string) *http.Request {
	values, members := url.Values{}, map[string]any{}
	for other, object := range p.fields {
		value := "x"
		if other == name {
			value = text
		}
		values.Set(other, value)
		if members[other] = any(value); object {
			members[other] = map[string]string{"a": value}
		}
	}
	target, body := p.path, values.Encode()
	switch p.media {
	case "":
		target, body = p.path+"?"+body, ""
	case "application/json":
		data, err := json.Marshal(members)
		if err != nil {
			panic(err)
		}
		body = string(data)
	}
	r := httptest.NewRequest(p.method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", p.media)
	p.fromPage(r)
	return r
}

// fromPage says that r comes from a page of the server, where that is asked for. Elsewhere
// it would cost a look at the clients every few seconds.
func (p publicRoute) fromPage(r *http.Request) {
	if pageFields[p.method+" "+p.path] != nil {
		r.Header.Set("Origin", "http://127.0.0.1:8080")
	}
}

// counted is a server over a store that counts its calls.
func counted(t testing.TB) (*server.Embedded, *storetest.FaultyStore) {
	t.Helper()
	db := storetest.Faulty(memory.New())
	e, err := server.Open(t.Context(), server.Config{
		Hosts: []string{"example.com"},
		Store: db, SealKey: [32]byte{1}, URL: "http://127.0.0.1:8080", Registration: true, Offline: true, InsecureHashes: true,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, Post: &letterbox{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e, db
}

func calls(db *storetest.FaultyStore) int {
	return db.Calls(storetest.OpGet) + db.Calls(storetest.OpList) + db.Calls(storetest.OpCommit) + db.Calls(storetest.OpLog)
}

// refusedFor serves r and returns the status, and how often it called the store. A hash is
// counted in the store before it is computed, so without a call there was none.
func refusedFor(e *server.Embedded, db *storetest.FaultyStore, r *http.Request) (w *httptest.ResponseRecorder, cost int) {
	before := calls(db)
	w = httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w, calls(db) - before
}

// LOGIN-04, OPS-06: whatever field of a public route is too long is refused as the caller's
// mistake, before the store is asked and before anything is hashed. What just fits is not.
func TestTooLongIsRefusedFirst(t *testing.T) {
	e, db := counted(t)
	routes := publicRoutes()
	if len(routes) < 18 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, route := range routes {
		for _, name := range route.names() {
			most := server.MaxOf(name)
			w, cost := refusedFor(e, db, route.request(name, strings.Repeat("a", most+1)))
			if w.Code != http.StatusBadRequest || cost != 0 {
				t.Errorf("%s %s, %s of %d bytes = %d after %d calls of the store, want 400 after none", route.method, route.path, name, most+1, w.Code, cost)
			}
			text := strings.Repeat("a", most)
			if route.fields[name] {
				text = text[len(`{"a":""}`):]
			}
			if w, _ := refusedFor(e, db, route.request(name, text)); strings.Contains(w.Body.String(), "is longer than") {
				t.Errorf("%s %s, %s of %d bytes = %d %s", route.method, route.path, name, most, w.Code, w.Body)
			}
		}
		r := route.request("", "")
		r.Header.Set("Content-Type", route.media+"; charset="+strings.Repeat("x", 300))
		if w, cost := refusedFor(e, db, r); w.Code != http.StatusBadRequest || cost != 0 {
			t.Errorf("%s %s with a long media type = %d after %d calls", route.method, route.path, w.Code, cost)
		}
		r = httptest.NewRequest(route.method, route.path, strings.NewReader(strings.Repeat(" ", 17<<10)))
		r.Header.Set("Content-Type", route.media)
		route.fromPage(r)
		if w, cost := refusedFor(e, db, r); w.Code != http.StatusRequestEntityTooLarge || cost != 0 {
			t.Errorf("%s %s with 17 KiB = %d after %d calls", route.method, route.path, w.Code, cost)
		}
	}
	for _, path := range []string{"/v1/sessions/", "/v1/notices/"} {
		if w, cost := refusedFor(e, db, httptest.NewRequest("DELETE", path+strings.Repeat("a", 257), nil)); w.Code != http.StatusNotFound || cost != 0 {
			t.Errorf("%s with a long id = %d after %d calls", path, w.Code, cost)
		}
	}
}

// The length of a text does not depend on how it is escaped.
func TestTextLength(t *testing.T) {
	for _, text := range []string{"", "a", `"\/` + "\b\n", "\u0000", "ä\u07ff", "\u0800\uffff", "😀𐀀", strings.Repeat("aß😀", 9)} {
		var escaped strings.Builder
		for _, unit := range utf16.Encode([]rune(text)) {
			fmt.Fprintf(&escaped, "\\u%04x", unit)
		}
		plain, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, written := range []string{string(plain[1 : len(plain)-1]), escaped.String()} {
			if got := server.TextLength([]byte(written)); got != len(text) {
				t.Errorf("%s has %d bytes, want %d", written, got, len(text))
			}
		}
	}
}

// LOGIN-04: whatever text a stranger sends in whatever field, the answer costs no more calls
// of the store than a handful, and none if the text is too long. A text has the length of its
// bytes, however it is escaped.
func FuzzCostOfRefusing(f *testing.F) {
	e, db := counted(f)
	routes := publicRoutes()
	for n, route := range routes {
		for field := range route.fields {
			f.Add(n, slices.Index(route.names(), field), "\u0001", 100)
			f.Add(n, slices.Index(route.names(), field), "ﷺ", 85)
			f.Add(n, slices.Index(route.names(), field), "a\u0301", 20_000)
		}
	}
	f.Fuzz(func(t *testing.T, n, field int, unit string, count int) {
		if n < 0 || field < 0 || count < 0 || count > 70_000 || len(unit) > 100 || len(unit)*count > 70_000 {
			return
		}
		route := routes[n%len(routes)]
		name := route.names()[field%len(route.fields)]
		text := strings.ToValidUTF8(strings.Repeat(unit, count), "?")
		w, cost := refusedFor(e, db, route.request(name, text))
		tooLong := len(text) > server.MaxOf(name)
		if tooLong && (cost > 0 || w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge) {
			t.Errorf("%s %s with %s of %d bytes = %d after %d calls of the store", route.method, route.path, name, len(text), w.Code, cost)
		}
		if cost > 20 || w.Code >= 500 {
			t.Errorf("%s %s with %s of %d bytes = %d after %d calls of the store", route.method, route.path, name, len(text), w.Code, cost)
		}
	})
}

// LOGIN-04: a refusal does not repeat a long name, which would cost more than reading it did.
func TestLongNames(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("[", 8000)
	for _, sent := range []struct{ method, path, body string }{
		{"POST", "/oauth/token", long + "=x"},
		{"POST", "/oauth/token", long + "=x&" + long + "=x"},
		{"GET", "/v1/log?" + long + "=x", ""},
		{"POST", "/v1/login", `{"` + long + `":"x"}`},
		{"POST", "/v1/login", `{"` + long + `":null}`},
	} {
		if res, body := b.call(sent.method, sent.path, sent.body); res.StatusCode != http.StatusBadRequest || len(body) > 1024 {
			t.Errorf("%s %s: status %d and %d bytes, want 400 and a short answer", sent.method, sent.path[:8], res.StatusCode, len(body))
		}
	}
}
