package server_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/server"
)

// mostWhole is how long a list may be that is answered whole. A longer one has pages.
const mostWhole = 100

// otherPages are the lists whose pages have parameters of their own.
var otherPages = []string{"/v1/log"}

// No call answers a list of records without a bound: the document says how long each can be, conform holds the answers
// of all tests against that, and a list that can be longer than mostWhole has pages.
func TestNoListIsUnbounded(t *testing.T) {
	d := readDocument()
	lists := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			for _, r := range op.Responses {
				for _, content := range r.Content {
					answer := d.resolve(content.Schema)
					at := method + " " + path
					d.records(at, answer, nil, func(at string, list schema) {
						if lists++; bound(list) == 0 {
							t.Errorf("%s: nothing says how long the list can be: maxItems", at)
						}
					})
					properties, _ := answer["properties"].(schema)
					paged := op.takes("limit") && op.takes("cursor") && properties["next"] != nil
					for name, list := range listsOf(answer) {
						if method == "get" && bound(list) > mostWhole && !paged && !slices.Contains(otherPages, path) {
							t.Errorf("%s: %s can have %d entries and has no pages: limit, cursor and next", at, name, bound(list))
						}
						if paged && bound(list) == 0 {
							t.Errorf("%s: nothing says how much of %s is on a page: maxItems", at, name)
						}
					}
				}
			}
		}
	}
	if lists < 20 {
		t.Errorf("found %d lists: the search is broken", lists)
	}
}

// listsOf are the lists that are members of an answer.
func listsOf(s schema) map[string]schema {
	found := map[string]schema{}
	properties, _ := s["properties"].(schema)
	for name, member := range properties {
		if of := member.(schema); of["type"] == "array" {
			found[name] = of
		}
	}
	return found
}

// bound is how long a list can be; 0: that is not said.
func bound(list schema) int {
	most, _ := list["maxItems"].(float64)
	return int(most)
}

func (d *document) resolve(s schema) schema {
	if r, is := s["$ref"].(string); is {
		return d.Components.Schemas[strings.TrimPrefix(r, "#/components/schemas/")]
	}
	return s
}

// records yields the lists of records in s, however deep they are. seen are the schemas that s is in.
func (d *document) records(at string, s schema, seen []string, yield func(at string, list schema)) {
	if r, is := s["$ref"].(string); is {
		if slices.Contains(seen, r) {
			return
		}
		seen = append(slices.Clone(seen), r)
	}
	s = d.resolve(s)
	properties, _ := s["properties"].(schema)
	for name, member := range properties {
		d.records(at+" "+name, member.(schema), seen, yield)
	}
	if items, is := s["items"].(schema); is {
		if d.resolve(items)["type"] == "object" {
			yield(at, s)
		}
		d.records(at+"[]", items, seen, yield)
	}
}

func (o operation) takes(name string) bool {
	for _, p := range o.Parameters {
		if p.Name == name && p.In == "query" {
			return true
		}
	}
	return false
}

// KEY-13: each list that has pages holds the same in pages of one as in one page. It takes the cursor that it gave, as it is,
// and no cursor of another list, and refuses a limit and parameters that it has not, all in the same words.
func TestListsInPages(t *testing.T) {
	taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer taken.Close()
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Monitor: checks(t, taken.URL)})
	alice, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	token := ""
	for n := range 3 {
		b.client(fmt.Sprintf("c%d", n), clients.Client{Name: "Client"})
		b.programKey(fmt.Sprintf("svc%d", n))
		b.letter(outbox.Draft{Kind: "mail", Expires: time.Now()})
		b.letter(outbox.Draft{Kind: "mail", Lane: "b"})
		b.incident(fmt.Sprintf("Incident %d", n))
		token = b.session(alice.ID, issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
		w := b.answer("POST", "/v1/admin/users", fmt.Sprintf(`{"identifier":"u%d"}`, n), "Authorization", "Bearer "+b.key)
		if w.Code != http.StatusCreated {
			t.Fatal(w.Code, w.Body)
		}
	}
	b.filled("shop", time.Now().UTC())
	d := readDocument()
	found := map[string]map[string]int{} // how long each list is
	cursors := map[string]string{}
	get := func(target string) (int, map[string]json.RawMessage) {
		t.Helper()
		by := b.key
		if !strings.HasPrefix(target, "/v1/admin/") {
			by = token
		}
		w := b.answer("GET", target, "", "Authorization", "Bearer "+by)
		answer := map[string]json.RawMessage{}
		must(t, json.Unmarshal(w.Body.Bytes(), &answer))
		return w.Code, answer
	}
	for template, methods := range d.Paths {
		op, reads := methods["get"]
		if !reads || !op.takes("cursor") || template == "/v1/admin/revocations" { // that one counts, and has no list
			continue
		}
		path := strings.NewReplacer("{id}", alice.ID, "{name}", "shop").Replace(template)
		paged := listsOf(d.resolve(op.Responses["200"].Content["application/json"].Schema))
		walk := func(limit string) (all map[string][]string) {
			t.Helper()
			all = map[string][]string{}
			for cursor := ""; ; {
				status, page := get(path + "?limit=" + limit + "&cursor=" + cursor)
				if status != http.StatusOK {
					t.Fatalf("%s: a page is answered with %d %s", path, status, page)
				}
				for name, s := range paged {
					var items []json.RawMessage
					if text, is := page[name]; is {
						must(t, json.Unmarshal(text, &items))
					}
					if bound(s) <= mostWhole { // it is on each page
						continue
					}
					for _, item := range items {
						all[name] = append(all[name], string(item))
					}
				}
				cursor = ""
				if page["next"] != nil {
					must(t, json.Unmarshal(page["next"], &cursor))
				}
				if cursor == "" {
					return all
				}
				cursors[path], cursor = cursor, url.QueryEscape(cursor)
			}
		}
		whole, ones := walk("200"), walk("1")
		found[path] = map[string]int{}
		for name, all := range whole {
			found[path][name] = len(all)
			if !slices.Equal(ones[name], all) {
				t.Errorf("%s: in pages of one %s is\n%s\nwant\n%s", path, name, strings.Join(ones[name], "\n"), strings.Join(all, "\n"))
			}
		}
	}
	for path, cursor := range cursors {
		flipped := []byte(cursor)
		flipped[3] ^= 1
		bad := []string{
			"limit=0", "limit=201", "limit=x", "limit=1&limit=2", "surprise=1", "a;b", "cursor=AAAA", "cursor=" + string(flipped), "cursor=" + cursor + "A",
			"cursor=" + cursor + "&cursor=" + cursor,
		}
		for other, of := range cursors {
			if other != path {
				bad = append(bad, "cursor="+of)
			}
		}
		for _, query := range bad {
			if status, answer := get(path + "?" + query); status != http.StatusBadRequest || string(answer["type"]) != `"urn:counterfoil:problem:bad-request"` {
				t.Errorf("%s?%s is answered with %d %s", path, query, status, answer)
			}
		}
	}
	for path, lists := range found {
		for name, n := range lists {
			if n < 2 {
				t.Errorf("%s: %s has %d entries: this test makes no more", path, name, n)
			}
		}
		if len(lists) == 0 && path != "/v1/admin/verifiers" { // those come by themselves: TestVerifiers has its pages
			t.Errorf("%s: this test makes no entry", path)
		}
	}
	if len(found) < 12 {
		t.Errorf("found the lists %v: the search is broken", found)
	}
}

// The pages of the console lead from page to page of clients, of API keys and of checks.
func TestConsoleListsInPages(t *testing.T) {
	taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer taken.Close()
	file := checks(t, taken.URL)
	for n := range 100 { // with two of the file, and the first of them is first
		c := *file.Checks[1]
		c.Name, c.Title = fmt.Sprintf("check%02d", n), fmt.Sprintf("Check %02d", n)
		file.Checks = append(file.Checks, &c)
	}
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Monitor: file})
	for n := range 100 {
		b.client(fmt.Sprintf("c%02d", n), clients.Client{})
		b.programKey(fmt.Sprintf("svc%02d", n))
	}
	for n := range 51 {
		b.incident(fmt.Sprintf("Incident %02d", n))
	}
	v := b.console(time.Minute, "admin")
	for _, c := range []struct {
		path, link string // link: of the next page
		entry      *regexp.Regexp
		want       int
	}{
		{"/admin/clients", ">Next page<", regexp.MustCompile(`href="/admin/clients/(c\d\d)"`), 100},
		{"/admin/apikeys", ">Next page<", regexp.MustCompile(`<bdi>(svc\d\d)</bdi>`), 100},
		{"/admin/monitor", ">Next page of checks<", regexp.MustCompile(`href="/admin/monitor/checks/(check\d\d)"`), 100},
		{"/admin/monitor", ">Next page<", regexp.MustCompile(`<h3>(Incident \d\d) `), 51},
	} {
		seen, pages := map[string]bool{}, 0
		for path := c.path; path != ""; pages++ {
			body := v.open(path).at(http.StatusOK, "").page.Body.String()
			for _, found := range c.entry.FindAllStringSubmatch(body, -1) {
				seen[found[1]] = true
			}
			path = ""
			if next := regexp.MustCompile(`href="([^"]+)"` + c.link).FindStringSubmatch(body); next != nil {
				path = html.UnescapeString(next[1])
			}
		}
		if want := (c.want + 49) / 50; len(seen) != c.want || pages < want || pages > want+1 {
			t.Errorf("%s: %d pages by %s have %d entries, want %d", c.path, pages, c.link, len(seen), c.want)
		}
	}
	v.open("/admin/monitor/checks/check99").at(http.StatusOK, "Check 99")
}

// Pages of checks go on where they were when another file has taken the place of theirs.
func TestPagesOfAnotherFile(t *testing.T) {
	taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer taken.Close()
	file := func(names ...string) *monitor.File {
		f := checks(t, taken.URL)
		of := f.Checks[1]
		f.Checks = nil
		for _, name := range names {
			c := *of
			c.Name = name
			f.Checks = append(f.Checks, &c)
		}
		return f
	}
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Monitor: file("a", "b", "c", "d")})
	get := func(cursor string) (names, next string) {
		w := b.answer("GET", "/v1/admin/monitor?limit=2&cursor="+cursor, "", "Authorization", "Bearer "+b.key)
		var page struct {
			Checks []struct{ Name string }
			Next   string
		}
		must(t, json.Unmarshal(w.Body.Bytes(), &page))
		for _, c := range page.Checks {
			names += c.Name
		}
		return names, page.Next
	}
	_, cursor := get("")
	for names, want := range map[string]string{"a b c d": "cd", "b a c d": "ac", "x y a b c d": "cd", "a c d": "cd", "x y z": "yz", "x": "", "b": ""} {
		must(t, b.embedded.SetMonitor(file(strings.Fields(names)...)))
		if got, _ := get(cursor); got != want {
			t.Errorf("with the checks %s the next page has %q, want %q", names, got, want)
		}
	}
}
