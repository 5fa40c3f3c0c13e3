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

// moreNouns are the packages with more than one noun, each with the reason.
var moreNouns = map[string]string{
	"compare/plain":  "the two things that are compared",
	"internal/token": "each works on one format, and keeps nothing",
	"revlog":         "a Feed is the log as verifiers read it",
	"store/postgres": "a Moving is the store while one process alone reads or fills it",
	"store/sqlite":   "a Moving is the store while one process alone reads or fills it",
}

// One noun per package: a package makes one kind of thing that a program keeps and uses. These
// things are the exported types with methods to which New or Open, or a function whose name
// begins so, returns a pointer.
func TestOneNoun(t *testing.T) {
	found := 0
	for _, name := range packageFolders(t) {
		made := nouns(t, name)
		found += len(made)
		if _, listed := moreNouns[name]; (len(made) > 1) != listed {
			t.Errorf("%s makes %q: one noun is wanted, or a reason in moreNouns", name, made)
		}
	}
	if found < 10 {
		t.Errorf("found %d nouns in all: the search is broken", found)
	}
}

// nouns returns the types that a package makes.
func nouns(t *testing.T, dir string) (made []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]bool{} // types with an exported method
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			if f.Recv != nil {
				methods[pointee(f.Recv.List[0].Type)] = true
			} else if maker := strings.HasPrefix(f.Name.Name, "New") || strings.HasPrefix(f.Name.Name, "Open"); maker && f.Type.Results != nil {
				if of := pointee(f.Type.Results.List[0].Type); ast.IsExported(of) && !slices.Contains(made, of) {
					made = append(made, of)
				}
			}
		}
	}
	return slices.DeleteFunc(made, func(name string) bool { return !methods[name] })
}

// pointee is T of the type *T, or empty.
func pointee(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		if id, ok := star.X.(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
}
