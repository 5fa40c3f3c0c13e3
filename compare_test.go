package counterfoil_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// TOK-35, OPS-17: secrets and MACs are compared in constant time: nowhere does a
// program compare what Reveal or a Sum returned, unless with the empty string, and a
// secret.String cannot be compared at all.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	if reflect.TypeFor[secret.String]().Comparable() {
		t.Error("a secret.String can be compared with ==")
	}
	set := token.NewFileSet()
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bench" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		files++
		for _, where := range comparisons(file) {
			t.Errorf("%v: a secret is compared in a time that tells of it: use secret.String.Equal or hmac.Equal", set.Position(where))
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files were read, %v", files, err)
	}
	// And it would be found.
	for source, want := range map[string]int{
		`package p; var _ = a.Reveal() == b`:                    1,
		`package p; var _ = b != a.Reveal()`:                    1,
		`package p; var _ = bytes.Equal(m.Sum(nil), sig)`:       1,
		`package p; var _ = strings.EqualFold(a.Reveal(),b)`:    1,
		`package p; func f() { switch a.Reveal() { case b: } }`: 1,
		`package p; var _ = a.Reveal() == ""`:                   0,
		`package p; var _ = hmac.Equal(m.Sum(nil), sig)`:        0,
	} {
		file, err := parser.ParseFile(set, "p.go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := comparisons(file); len(got) != want {
			t.Errorf("%s: %d found, want %d", source, len(got), want)
		}
	}
}

// comparisons returns where file compares a secret.
func comparisons(file *ast.File) (found []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && (secretCall(n.X) && !emptyString(n.Y) || secretCall(n.Y) && !emptyString(n.X)) {
				found = append(found, n.Pos())
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && secretCall(n.Tag) {
				found = append(found, n.Pos())
			}
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				break
			}
			pkg, ok := f.X.(*ast.Ident)
			if !ok || pkg.Name != "bytes" && pkg.Name != "strings" && pkg.Name != "slices" {
				break
			}
			for _, arg := range n.Args {
				if strings.HasPrefix(f.Sel.Name, "Equal") && secretCall(arg) {
					found = append(found, n.Pos())
				}
			}
		}
		return true
	})
	return found
}

// secretCall reports whether e is a call of Reveal, or of the Sum of a MAC.
func secretCall(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (f.Sel.Name == "Reveal" || f.Sel.Name == "Sum")
}

func emptyString(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return ok && literal.Value == `""`
}
