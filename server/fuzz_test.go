package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/server"
)

// CSRF-09, OPS-05: a body is refused as the caller's mistake, or it has one meaning: one
// object whose members are there once, exactly named, and read as they stand.
func FuzzBody(f *testing.F) {
	f.Add("application/json; charset=utf-8", []byte(`{"text":"x","secret":"y","number":1e3,"flag":true,"list":["a"],"scope":"all","maybe":"","part":"p"}`))
	f.Add("Application/JSON", []byte(` {"te\u0078t":"x"} `))
	f.Add("application/json;", []byte(`{"list":[{"a":1,"a":2}]}`))
	f.Add("text/json", []byte(`{}`))
	members := schema{}
	for _, name := range []string{"text", "secret", "scope", "maybe", "part"} {
		members[name] = schema{"type": "string"}
	}
	members["number"], members["flag"], members["list"] = schema{"type": "number"}, schema{"type": "boolean"}, schema{"type": "array"}
	for _, bad := range badJSON(members) {
		if len(bad.body) < 1000 { // one of each size is enough for a seed
			f.Add("application/json", []byte(bad.body))
		}
	}
	names := slices.Collect(maps.Keys(members))
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", media)
		got, problem := server.ReadBody(httptest.NewRecorder(), r)
		if problem != nil {
			if !slices.Contains([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}, problem.Status) || problem.Type == "" || len(problem.Detail) > 300 || !utf8.ValidString(problem.Detail) {
				t.Errorf("%q is answered %d %s %q", body, problem.Status, problem.Type, problem.Detail)
			}
			return
		}
		if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(media)), "application/json") {
			t.Errorf("a body of type %q is read", media)
		}
		if err := once(body, names); err != nil {
			t.Errorf("%q is read: %v", body, err)
		}
		var loose map[string]any
		if err := json.Unmarshal(body, &loose); err != nil {
			t.Fatalf("%q is read: %v", body, err)
		}
		for name, read := range map[string]string{"text": got.Text, "secret": got.Secret.Reveal(), "part": got.Part} {
			if want, _ := loose[name].(string); read != want {
				t.Errorf("%q: %s is read as %q, want %q", body, name, read, want)
			}
		}
	})
}

// once fails if an object in data has a member twice, or if data is not one object with
// members of names. It is another reader than the one under test.
func once(data []byte, names []string) error {
	d := json.NewDecoder(bytes.NewReader(data))
	var walk func(depth int) error
	walk = func(depth int) error {
		begin, err := d.Token()
		if err != nil {
			return err
		}
		open, nested := begin.(json.Delim)
		if depth == 0 && (!nested || open != '{') {
			return fmt.Errorf("it is no object")
		}
		seen := map[any]bool{}
		for nested && d.More() {
			if open == '{' {
				name, err := d.Token()
				if err != nil {
					return err
				}
				if text, _ := name.(string); seen[name] || depth == 0 && !slices.Contains(names, text) {
					return fmt.Errorf("member %q is there twice, or is none", name)
				}
				seen[name] = true
			}
			if err := walk(depth + 1); err != nil {
				return err
			}
		}
		if nested {
			_, err = d.Token()
		}
		return err
	}
	if err := walk(0); err != nil {
		return err
	}
	if _, err := d.Token(); err == nil {
		return fmt.Errorf("there is more behind the object")
	}
	return nil
}
