package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// withoutActor are what changes something on somebody's behalf and takes no rights.Actor, each with the reason: a whole
// package, or one method.
var withoutActor = map[string]string{
	"directory":         "records: who may change them is said by accounts, which alone has a directory in a server",
	"issuer/issuertest": "tests",
	"internal/tunnel":   "by is who ended a connection",
	"cmd/counterfoil":   "asks the server, which decides",
	"internal/api":      "asks the server, which decides",
	"server":            "handlers: they hand on the Actor that they were asked by",

	"accounts.Accounts.AnswerRecovery":      "the code is the proof",
	"accounts.Accounts.AskAddress":          "the session is the own one",
	"accounts.Accounts.ChangePassword":      "the session is the own one",
	"accounts.Accounts.EndOthers":           "the session is the own one",
	"accounts.Accounts.Exchange":            "the API key and the credential are the proof",
	"accounts.Accounts.InviteAdministrator": "there is nobody yet who could have a right",
	"accounts.Accounts.Recover":             "anybody may ask: the mail goes to the owner",
	"accounts.Accounts.Redeem":              "the invitation is the proof",
	"accounts.Accounts.RedeemCode":          "the API key and the code are the proof",
	"accounts.Accounts.SetOwnCredential":    "the session is the own one",
	"accounts.Accounts.SignUp":              "anybody may have an account; whether the server lets them is a setting",
	"accounts.Accounts.UndoAddress":         "the token is the proof",
	"accounts.Accounts.VerifyAddress":       "the code or the link is the proof",

	"issuer.Issuer.AddGrant":     "the caller has proven the session",
	"issuer.Issuer.Admits":       "changes nothing",
	"issuer.Issuer.EndByRefresh": "the refresh token is the proof",
	"issuer.Issuer.EndGrant":     "ends sessions alone: accounts says who may",
	"issuer.Issuer.EndOthers":    "the session is the own one",
	"issuer.Issuer.EndOwn":       "of the own subject alone",
	"issuer.Issuer.EndOwnHost":   "of the own subject alone",
	"issuer.Issuer.Exchange":     "the credential is the proof",
	"issuer.Issuer.GiveUp":       "the credential is the proof",
	"issuer.Issuer.HandOver":     "the session is the own one",
	"issuer.Issuer.Impersonate":  "accounts.Impersonate says who may",
	"issuer.Issuer.Login":        "the proof of a login is what lets it in",
	"issuer.Issuer.Logout":       "the session is the own one",
	"issuer.Issuer.Redeem":       "the code is the proof",
	"issuer.Issuer.Refresh":      "the refresh token is the proof",
	"issuer.Issuer.Revoke":       "ends sessions alone: accounts.Revoke and accounts.EndSession say who may",
	"issuer.Issuer.SetSubject":   "accounts writes to the sessions what was decided for the user",
	"issuer.Issuer.StartOver":    "the proof of a login is what lets it in",
	"issuer.Issuer.StepUp":       "the proof of a login is what lets it in",
}

// Handlers of package server have an issuer. What it does by order of package accounts, they have it do by package
// accounts.
func TestHandlersAskAccounts(t *testing.T) {
	files, err := filepath.Glob("server/*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	past := regexp.MustCompile(`\bissuer(\(\))?\.(EndGrant|Impersonate|Revoke|SetSubject)\(`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if call := past.Find(text); call != nil && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s calls %s: package accounts has the method that asks for the right", name, call)
		}
	}
}

// An exported method that acts on somebody's behalf takes a rights.Actor and uses it, or this file says why not. On
// somebody's behalf is: with an audit.Act, a struct that has one, or "by", a text.
func TestActorsBelowTheHandlers(t *testing.T) {
	sources := map[string][]*ast.File{} // by the path of the package
	acting := map[string]bool{"audit.Act": true}
	for _, path := range packageFolders(t) {
		names, err := filepath.Glob(filepath.Join(path, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			sources[path] = append(sources[path], file)
			for _, typ := range structsWith(file, "audit.Act") {
				acting[file.Name.Name+"."+typ] = true
			}
		}
	}
	used, found := map[string]bool{}, 0
	for path, files := range sources {
		for _, file := range files {
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if !ok || !f.Name.IsExported() || f.Recv == nil || !ast.IsExported(strings.TrimPrefix(typeName(file, f.Recv.List[0].Type), file.Name.Name+".")) {
					continue
				}
				who, behalf := parameters(file, f, acting)
				if !behalf {
					continue
				}
				found++
				_, receiver, _ := strings.Cut(typeName(file, f.Recv.List[0].Type), ".")
				name := path + "." + receiver + "." + f.Name.Name
				key := path
				if _, whole := withoutActor[path]; !whole {
					key = name
				}
				_, excused := withoutActor[key]
				used[key] = true
				if has := who != "" && mentions(f.Body, who); has == excused && key == name {
					t.Errorf("%s acts on somebody's behalf: it takes a rights.Actor and asks it, or a line of withoutActor says why not; takes and uses one: %v", name, has)
				}
			}
		}
	}
	for key := range withoutActor {
		if !used[key] && sources[key] == nil {
			t.Errorf("withoutActor has %s, which is not there", key)
		}
	}
	if found < 40 {
		t.Errorf("found %d methods: the search is broken", found)
	}
}

// structsWith returns the structs of file with a field of a type.
func structsWith(file *ast.File, field string) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				if typeName(file, f.Type) == field {
					names = append(names, spec.Name.Name)
				}
			}
		}
		return false
	})
	return names
}

// typeName is the name of the type that e says or points to, with its package.
func typeName(file *ast.File, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(file, e.X)
	case *ast.Ident:
		return file.Name.Name + "." + e.Name
	case *ast.SelectorExpr:
		if of, ok := e.X.(*ast.Ident); ok {
			return of.Name + "." + e.Sel.Name
		}
	}
	return file.Name.Name + "."
}

// parameters returns the name of the rights.Actor that f takes, and whether f acts on somebody's behalf.
func parameters(file *ast.File, f *ast.FuncDecl, acting map[string]bool) (who string, behalf bool) {
	for _, p := range f.Type.Params.List {
		typ := typeName(file, p.Type)
		behalf = behalf || acting[typ] || slices.ContainsFunc(p.Names, func(id *ast.Ident) bool { return id.Name == "by" && strings.HasSuffix(typ, ".string") })
		if typ == "rights.Actor" && len(p.Names) == 1 {
			who = p.Names[0].Name
		}
	}
	return who, behalf
}

func mentions(body *ast.BlockStmt, name string) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}
