package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The npm package of the browser client: what is in it, its types as each way of importing sees them,
// its code by its comments, and what it does without a browser.
func TestClientPackage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := nodeModules(ctx, t, "client")
	for _, name := range []string{"types.ts", "tsconfig.json"} {
		data, err := os.ReadFile(filepath.Join("client", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	source, err := filepath.Abs("../client")
	if err != nil {
		t.Fatal(err)
	}
	run("npm", "pack", "--silent", source)
	packed := "counterfoil-client-0.0.0.tgz"
	files := strings.Fields(run("tar", "-tzf", packed))
	slices.Sort(files)
	if got, want := strings.Join(files, " "), "package/api.d.ts package/index.d.ts package/index.js package/package.json"; got != want {
		t.Errorf("the package has %s, want %s", got, want)
	}
	installed := filepath.Join(dir, "node_modules", "@counterfoil", "client")
	if err := os.MkdirAll(installed, 0o700); err != nil {
		t.Fatal(err)
	}
	run("tar", "-xzf", packed, "-C", installed, "--strip-components=1")
	run("node_modules/.bin/tsc", "-p", filepath.Join(source, "tsconfig.json"))
	run("node_modules/.bin/tsc", "-p", "tsconfig.json")
	run("node_modules/.bin/attw", packed, "--profile", "esm-only")
	if out := run("node", "--test", "index.test.mjs"); !strings.Contains(out, "pass 10\n") {
		t.Errorf("node --test:\n%s", out)
	}
}
