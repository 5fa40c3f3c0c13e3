package repotest

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// modules returns the path of each go.mod of the repository.
func modules(t *testing.T) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "go.mod" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// lines returns what stands behind a directive of a go.mod, in blocks too.
func lines(file, directive string) (found []string) {
	block := ""
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		first, rest, _ := strings.Cut(line, " ")
		switch {
		case line == ")":
			block = ""
		case rest == "(":
			block = first
		case block == directive && line != "":
			found = append(found, line)
		case block == "" && first == directive:
			found = append(found, rest)
		}
	}
	return found
}

// All modules are of one Go. Its release stands in the toolchain line: in the go line it
// would force every program that imports Counterfoil up to it.
func TestModulesAgree(t *testing.T) {
	root := text(t, "go.mod")
	if version := lines(root, "go"); len(version) != 1 || !strings.HasSuffix(version[0], ".0") {
		t.Errorf("go.mod: go %v, want the first release of a Go", version)
	}
	for _, file := range modules(t) {
		for _, directive := range []string{"go", "toolchain"} {
			if is, want := lines(text(t, file), directive), lines(root, directive); len(is) != 1 || !slices.Equal(is, want) {
				t.Errorf("%s: %s %v, want %v", file, directive, is, want)
			}
		}
	}
}

// Each module that one of ours requires by itself has a reason.
func TestDependenciesHaveReasons(t *testing.T) {
	reasons := text(t, "docs/decisions/0006-dependencies.md")
	for _, file := range modules(t) {
		for _, line := range append(lines(text(t, file), "require"), lines(text(t, file), "tool")...) {
			path, _, _ := strings.Cut(line, " ")
			if !strings.HasSuffix(line, "// indirect") && !strings.HasPrefix(path, module) && !strings.Contains(reasons, path) {
				t.Errorf("docs/decisions/0006-dependencies.md: no reason for %s of %s", path, file)
			}
		}
	}
}

// A program that imports the root package downloads nothing but Counterfoil: it builds
// with an empty module cache and no proxy.
func TestImporterDownloadsNothing(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module importer\n\ngo 1.26.0\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n",
		"main.go": "package main\n\nimport _ \"" + module + "\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOPROXY=off", "GOWORK=off", "GOMODCACHE="+filepath.Join(dir, "cache"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("build", "-o", "importer", ".")
	if built := run("version", "-m", "importer"); strings.Count(built, "\tdep\t") != 1 {
		t.Errorf("what was built holds more modules than ours:\n%s", built)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.sum")); err == nil {
		t.Error("a go.sum was needed")
	}
	// What it sees of ours in its module graph (go list -m all), which is pruned to our go.mod.
	required := lines(text(t, "go.mod"), "require")
	for _, line := range required {
		if strings.Contains(line, "chromedp") {
			t.Errorf("go.mod requires a browser: %s", line)
		}
	}
	t.Logf("an importer of the root package downloads 0 modules, needs 0 lines of go.sum, and lists %d modules beside ours", len(required))
}

// Packages of Node are for tests, and are the bytes that somebody has looked at: the lock file
// has the hash of each. It names no host, so that each machine asks the registry that it is set to.
func TestNodePackagesAreLocked(t *testing.T) {
	files, err := filepath.Glob("e2e/*/package-lock.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("lock files: %q, %v", files, err)
	}
	for _, file := range files {
		var lock struct {
			Packages map[string]struct{ Version, Integrity, Resolved string }
		}
		if err := json.Unmarshal([]byte(text(t, file)), &lock); err != nil || len(lock.Packages) < 2 {
			t.Fatalf("%s: %v, %d packages", file, err, len(lock.Packages))
		}
		for name, p := range lock.Packages {
			if name != "" && (!strings.HasPrefix(p.Integrity, "sha512-") || p.Resolved != "") {
				t.Errorf("%s: %s: integrity %q, resolved %q, want a hash and no address", file, name, p.Integrity, p.Resolved)
			}
		}
	}
}
