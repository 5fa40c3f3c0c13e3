package client_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/client"
)

var update = flag.Bool("update", false, "write api.d.ts anew")

// A page loads the module over a phone's network before it can do anything.
func TestSize(t *testing.T) {
	const most = 6 << 10
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, _ = w.Write(client.Module())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d with gzip", len(client.Module()), packed.Len())
	if packed.Len() > most {
		t.Errorf("the module has %d bytes with gzip, at most %d are wanted", packed.Len(), most)
	}
}

// The module imports nothing, and keeps nothing where scripts of later pages find it: what is in
// localStorage is a lease.
func TestModuleKeepsNothing(t *testing.T) {
	text := string(client.Module())
	if imports := regexp.MustCompile(`(?m)^import |\bimport\(|\brequire\(|\beval\(|new Function`).FindAllString(text, -1); imports != nil {
		t.Errorf("the module has %q", imports)
	}
	for _, store := range []string{"sessionStorage", "indexedDB", "document.cookie", "caches."} {
		if strings.Contains(text, store) {
			t.Errorf("the module uses %s", store)
		}
	}
	for _, kept := range regexp.MustCompile(`storage\.setItem\(.*`).FindAllString(text, -1) {
		if kept != "storage.setItem(name, `${Date.now() + patience} ${me}`);" {
			t.Errorf("the module keeps %s", kept)
		}
	}
}

// docs/browser-client.md has a row for each function and each event of the module.
func TestDocumented(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	types, page, found := read("index.d.ts"), read("../docs/browser-client.md"), 0
	for name, row := range map[string]string{"Client": "| `%s(", "Events": "| `%s` |"} {
		_, rest, _ := strings.Cut(types, "export interface "+name+" {")
		body, _, _ := strings.Cut(rest, "\n}")
		for _, member := range regexp.MustCompile(`(?m)^  "?([\w-]+)"?[<(:]`).FindAllStringSubmatch(body, -1) {
			found++
			if !strings.Contains(page, fmt.Sprintf(row, member[1])) {
				t.Errorf("docs/browser-client.md has no row for %s of %s", member[1], name)
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d functions and events: the search is broken", found)
	}
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        string
	Description string
	Properties  map[string]schema
	Required    []string
	Items       *schema
	Enum        []string
	Additional  any `json:"additionalProperties"`
}

type document struct {
	Components struct{ Schemas map[string]schema }
}

// api.d.ts is what the OpenAPI document says of what a page is answered.
func TestTypesAreUpToDate(t *testing.T) {
	data, err := os.ReadFile("../server/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	want := d.types("Carrier", "Challenge", "Issued", "Notice", "Problem", "Receipt", "Session", "SessionRow")
	if *update {
		if err := os.WriteFile("api.d.ts", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := os.ReadFile("api.d.ts"); err != nil || string(is) != want {
		t.Errorf("api.d.ts is not what server/openapi.json says, %v: go test ./client -update", err)
	}
}

// types writes the schemas of those names, and what they refer to.
func (d *document) types(names ...string) string {
	all := map[string]bool{}
	var add func(s schema)
	name := func(n string) {
		if !all[n] {
			all[n] = true
			add(d.Components.Schemas[n])
		}
	}
	add = func(s schema) {
		if s.Ref != "" {
			name(refers(s))
		}
		if s.Items != nil {
			add(*s.Items)
		}
		for _, p := range s.Properties {
			add(p)
		}
	}
	for _, n := range names {
		name(n)
	}
	var b strings.Builder
	b.WriteString("// Made from server/openapi.json by: go test ./client -update\n")
	for _, n := range slices.Sorted(maps.Keys(all)) {
		s := d.Components.Schemas[n]
		b.WriteString("\n" + comment("", s.Description))
		if n == "Problem" {
			kind := s.Properties["type"]
			s.Properties["type"] = schema{Ref: "ProblemType", Description: kind.Description}
			fmt.Fprintf(&b, "export interface Problem %s\n\n/** Each type of problem that a server or a gateway answers. */\nexport type ProblemType =\n  | %s;\n", d.spell(s, ""), strings.ReplaceAll(d.spell(kind, ""), " | ", "\n  | "))
			continue
		}
		if s.Type == "object" {
			fmt.Fprintf(&b, "export interface %s %s\n", n, d.spell(s, ""))
		} else {
			fmt.Fprintf(&b, "export type %s = %s;\n", n, d.spell(s, ""))
		}
	}
	return b.String()
}

func refers(s schema) string { return s.Ref[strings.LastIndex(s.Ref, "/")+1:] }

func comment(indent, text string) string {
	if text == "" {
		return ""
	}
	return indent + "/** " + text + " */\n"
}

// spell writes a schema as TypeScript does.
func (d *document) spell(s schema, indent string) string {
	switch {
	case s.Ref != "":
		return refers(s)
	case s.Enum != nil:
		quoted := make([]string, len(s.Enum))
		for n, value := range s.Enum {
			quoted[n] = fmt.Sprintf("%q", value)
		}
		return strings.Join(quoted, " | ")
	case s.Type == "array":
		item := d.spell(*s.Items, indent)
		if strings.Contains(item, " | ") {
			item = "(" + item + ")"
		}
		return item + "[]"
	case s.Type == "object" && s.Properties == nil:
		return "Record<string, unknown>"
	case s.Type == "object":
		var b strings.Builder
		b.WriteString("{\n")
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			p, optional := s.Properties[name], "?"
			if slices.Contains(s.Required, name) {
				optional = ""
			}
			fmt.Fprintf(&b, "%s%s  %s%s: %s;\n", comment(indent+"  ", p.Description), indent, name, optional, d.spell(p, indent+"  "))
		}
		return b.String() + indent + "}"
	case s.Type == "integer":
		return "number"
	}
	return s.Type // string, boolean
}
