package repotest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The OpenAPI document names each type of problem that a server or a gateway may answer, and no other:
// clients have them as a closed union.
func TestProblemTypesAreListed(t *testing.T) {
	var document struct {
		Components struct {
			Schemas struct {
				Problem struct {
					Properties struct{ Type struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text(t, "server/openapi.json")), &document); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range packageFolders(t) {
		if top, _, _ := strings.Cut(dir, "/"); slices.Contains([]string{"cmd", "compare", "examples"}, top) {
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if !strings.HasSuffix(name, "_test.go") {
				found = append(found, problemTypes(t, name)...)
			}
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if listed := document.Components.Schemas.Problem.Properties.Type.Enum; !slices.Equal(listed, found) || len(found) < 40 {
		not := func(of, those []string) []string {
			return slices.DeleteFunc(slices.Clone(of), func(kind string) bool { return slices.Contains(those, kind) })
		}
		t.Errorf("the enum of Problem.type in server/openapi.json, in the order of the alphabet, lacks %q and has %q too many: change it, then run go test ./client -update", not(found, listed), not(listed, found))
	}
}

// problemTypes returns the types of the literals of type Problem in a file.
func problemTypes(t *testing.T, name string) (found []string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		of := literal.Type
		if s, ok := of.(*ast.SelectorExpr); ok {
			of = s.Sel
		}
		if id, ok := of.(*ast.Ident); !ok || id.Name != "Problem" {
			return true
		}
		for _, element := range literal.Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			if key, ok := pair.Key.(*ast.Ident); !ok || key.Name != "Type" {
				continue
			}
			value, ok := pair.Value.(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the type of a Problem is no literal, so its list cannot be checked", name)
				continue
			}
			slug, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(slug, "_") { // an error of OAuth, which is answered as such
				found = append(found, "urn:counterfoil:problem:"+slug)
			}
		}
		return true
	})
	return found
}
