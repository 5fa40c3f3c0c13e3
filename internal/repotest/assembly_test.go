package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// assembly is the one file that puts a server together. What it checks and orders, such as
// the head that an earlier process kept, holds for every program that begins with server.Open.
const assembly = "server/open.go"

// parts are what a server is made of, by the functions that make them, and the folders
// whose tests may call these: each tests the part, or one that rests on it alone.
var parts = map[string][]string{
	"/keyring.Open":       {"keyring", "issuer"},
	"/issuer.New":         {"issuer"},
	"/directory.New":      {"directory", "login/flow", "login/mailcode", "login/password"},
	"/login/flow.New":     {"login/flow", "login/mailcode", "login/password"},
	"/login/password.New": {"login/password"},
	"/login/throttle.New": {"login/flow", "login/mailcode", "login/password", "login/throttle"},
	"/accounts.New":       nil,
}

func TestOneAssembly(t *testing.T) {
	made := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || len(entry.Name()) > 1 && entry.Name()[0] == '.') {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		for _, part := range calls(t, file) {
			testers, is := parts[part]
			tests := strings.HasSuffix(file, "_test.go") && slices.Contains(testers, path.Dir(filepath.ToSlash(file)))
			switch {
			case !is || tests:
			case file == assembly:
				made[part] = true
			default:
				t.Errorf("%s calls %s: let it begin with server.Open, which is the one assembly (docs/decisions/0035-head-keeper.md)", file, part)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for part := range parts {
		if !made[part] {
			t.Errorf("%s does not call %s: is it another function now?", assembly, part)
		}
	}
}

// calls returns the functions of packages of this module that a file names, as
// "/issuer.New".
func calls(t *testing.T, file string) (all []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]string{}
	for _, spec := range parsed.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		inside, own := strings.CutPrefix(full, module)
		if !own {
			continue
		}
		name := path.Base(full)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		packages[name] = inside
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				if inside, ok := packages[x.Name]; ok {
					all = append(all, inside+"."+s.Sel.Name)
				}
			}
		}
		return true
	})
	return all
}
