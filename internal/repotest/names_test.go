package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxRootNames is how many top-level names a service's author meets in the root package. A
// name that only writers of sources, servers and adapters need goes to package source.
const maxRootNames = 45

func TestRootIsSmall(t *testing.T) {
	names := exported(t, ".")
	if len(names) > maxRootNames {
		t.Errorf("the root package shows %d names, at most %d are wanted: %q", len(names), maxRootNames, names)
	}
	if !slices.Contains(names, "NewVerifier") {
		t.Errorf("the names are not those of the root package: %q", names)
	}
}

// exported returns the types, functions, variables and constants that a package exports.
// Methods and fields belong to their types.
func exported(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, id.Name)
			}
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						add(s.Name)
					case *ast.ValueSpec:
						add(s.Names...)
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names
}
