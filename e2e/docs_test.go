package e2e_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/counterfoil/counterfoil/internal/markdown"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// What the documents show works. A script in testdata/docs belongs to one page: it begins with
// "page FILE", and says for each code block what is done with it. internal/repotest fails if
// one is forgotten. A block is named by a part of its text that no other block of the page has.
//
//	run TEXT            runs the block in a shell, in the folder of a checkout
//	save TEXT FILE      writes the block to a file, for the lines below
//	shows TEXT FILE     the block is this program of the repository; another test runs it
//	leave TEXT REASON   nothing is done with it
//	rest FILE           writes the blocks of sh that no line above names to one file, in order
//	copy FROM TO        writes a file of the repository to another file
//	with OLD NEW        from here on, NEW stands for OLD in each block and copy
//	clean               git status has nothing to say about the checkout
//	eventually 200 URL  waits until the URL answers so
//	postgres NAME       makes an empty database, and puts its URL into $NAME
//	redis NAME FILE     starts a Redis with the settings of a file, and puts its address there
//	node                installs what oauth/package-lock.json names beside the programs in $WORK
//	sql URL FILE        sends a PostgreSQL the statements of a file
//
// $WORK/bin is the first folder of the PATH. A program there that is called sudo, systemctl or
// the like stands for the one of the machine. counterfoil is the program under test, and go
// builds in this repository what a page builds in its checkout. With PARSE=--help, counterfoil
// only says whether it knows its arguments. $A to $F are free addresses.
func TestDocs(t *testing.T) {
	t.Parallel()
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/docs",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(e *testscript.Env) error { return checkout(t, e, repository) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"page": func(ts *testscript.TestScript, _ bool, args []string) {
				page, err := os.ReadFile(filepath.Join(repository, args[0]))
				ts.Check(err)
				*ts.Value(shown).(*document) = document{blocks: markdown.Blocks(string(page)), named: map[int]bool{}}
			},
			"with": func(ts *testscript.TestScript, _ bool, args []string) {
				d := ts.Value(shown).(*document)
				d.instead = append(d.instead, args[0], args[1])
			},
			"copy": func(ts *testscript.TestScript, _ bool, args []string) {
				file, err := os.ReadFile(filepath.Join(repository, args[0]))
				ts.Check(err)
				write(ts, string(file), args[1])
			},
			"run":   runBlock,
			"save":  func(ts *testscript.TestScript, _ bool, args []string) { saveBlock(ts, args[0], args[1]) },
			"shows": func(ts *testscript.TestScript, _ bool, args []string) { ts.Value(shown).(*document).block(ts, args[0]) },
			"leave": func(ts *testscript.TestScript, _ bool, args []string) { ts.Value(shown).(*document).block(ts, args[0]) },
			"rest": func(ts *testscript.TestScript, _ bool, args []string) {
				d, script := ts.Value(shown).(*document), ""
				for n, b := range d.blocks {
					if b.Info == "sh" && !d.named[n] {
						script += b.Text
					}
				}
				write(ts, script, args[0])
			},
			"clean": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(ts.Exec("git", "-C", filepath.Join(ts.Getenv("WORK"), "counterfoil"), "status", "--porcelain"))
				if left := ts.ReadFile("stdout"); left != "" {
					ts.Fatalf("git status --porcelain:\n%s", left)
				}
			},
			"eventually": eventually,
			"postgres": func(ts *testscript.TestScript, _ bool, args []string) {
				_, url := testsvc.StartPostgres(t, testsvc.Fast).Database(t, "")
				ts.Setenv(args[0], url)
			},
			"redis": func(ts *testscript.TestScript, _ bool, args []string) {
				var settings []string
				for line := range strings.Lines(ts.ReadFile(args[1])) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
					settings = append(settings, "--"+name, value)
				}
				ts.Setenv(args[0], testsvc.StartRedis(t, settings...).Addr())
			},
			"node": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(os.Symlink(filepath.Join(nodeModules(t.Context(), t, "oauth"), "node_modules"), filepath.Join(ts.Getenv("WORK"), "node_modules")))
			},
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				connection, err := pgx.Connect(t.Context(), args[0])
				ts.Check(err)
				_, err = connection.Exec(t.Context(), ts.ReadFile(args[1]))
				ts.Check(errors.Join(err, connection.Close(t.Context())))
			},
		},
	})
}

// shown is the key of the document of a script.
const shown = "document"

// document is the page of a script.
type document struct {
	blocks  []markdown.Block
	named   map[int]bool // by its index: a line named the block
	instead []string     // pairs
}

// block returns the text of the block that a line names.
func (d *document) block(ts *testscript.TestScript, part string) string {
	n, err := markdown.Find(d.blocks, part)
	ts.Check(err)
	d.named[n] = true
	return d.blocks[n].Text
}

// checkout makes the folder of a clone, with nothing in it but what git must know, and the
// programs that the pages call.
func checkout(t *testing.T, e *testscript.Env, repository string) error {
	bin, clone := filepath.Join(e.WorkDir, "bin"), filepath.Join(e.WorkDir, "counterfoil")
	e.Values[shown] = &document{}
	for _, name := range []string{"A", "B", "C", "D", "E", "F"} {
		e.Setenv(name, testsvc.FreeAddress(t))
	}
	home, _ := os.UserHomeDir()
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			return err
		}
		e.Setenv(name, strings.TrimSpace(string(value)))
	}
	e.Setenv("HOME", home)
	e.Setenv("REPOSITORY", repository)
	e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	ignored, err := os.ReadFile(filepath.Join(repository, ".gitignore"))
	if err != nil {
		return err
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "-q", clone).CombinedOutput(); err != nil {
		return fmt.Errorf("git init: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(clone, ".git", "info", "exclude"), ignored, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	for name, script := range map[string]string{
		"counterfoil": `exec ` + binary + ` "$@" $PARSE`,
		"sudo":        `[ "$1" != -u ] || shift 2` + "\n" + `exec "$@"`,
		"go": `case "$*" in
"build ./cmd/counterfoil") exec cp ` + binary + ` counterfoil ;;
"run ./cmd/counterfoil"*) shift 2; exec ` + binary + ` "$@" ;;
"run .")
	` + compiler + ` build -o ` + bin + `/own .
	exec ` + bin + `/own ;;
"run ./examples/"*) # at $A, $B and $C, where the program has ports of its own
	name=$(basename "$2")
	sed "s/127.0.0.1:8090/$A/; s/127.0.0.1:8091/$B/; s/127.0.0.1:8092/$C/" ` + repository + `/"$2"/main.go > ` + bin + `/$name.go
	echo '{"Replace":{"` + repository + `/'"${2#./}"'/main.go":"` + bin + `/'$name'.go"}}' > ` + bin + `/$name.json
	` + compiler + ` build -C ` + repository + ` -overlay ` + bin + `/$name.json -o ` + bin + `/$name "$2"
	shift 2
	exec ` + bin + `/$name "$@" ;;
esac
exec ` + compiler + ` "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nset -e\n"+script+"\n"), 0o700); err != nil {
			return err
		}
	}
	e.Cd = clone
	return nil
}

// saveBlock writes a block to a file.
func saveBlock(ts *testscript.TestScript, part, file string) {
	write(ts, ts.Value(shown).(*document).block(ts, part), file)
}

// write writes what the page or the repository shows to a file, as "with" changes it.
func write(ts *testscript.TestScript, text, file string) {
	text = strings.NewReplacer(ts.Value(shown).(*document).instead...).Replace(text)
	ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
}

// runBlock runs a block in a shell. The lines below can look at what it printed.
func runBlock(ts *testscript.TestScript, neg bool, args []string) {
	file := filepath.Join(ts.Getenv("WORK"), "block.sh")
	saveBlock(ts, args[0], file)
	if err := ts.Exec("sh", "-eu", file); (err != nil) != neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

// eventually waits until a URL answers with a status.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	last := ""
	// The certificates of these servers are for the test.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for range 3000 {
		res, err := client.Get(args[1])
		if err != nil {
			last = err.Error()
		} else {
			last = res.Status
			_ = res.Body.Close()
			if strings.HasPrefix(last, args[0]) {
				return
			}
		}
		<-look.C
	}
	ts.Fatalf("%s answers %s, want %s", args[1], last, args[0])
}
