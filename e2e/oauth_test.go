package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// RFC 6749 section 2.3.1, RFC 7009, RFC 7662, RFC 9701: OAuth libraries that many services use
// introspect, refresh and revoke, each in all ways in which a client can show its secret.
func TestOAuthLibraries(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir, p := nodeModules(ctx, t, "oauth"), start(t)
	for _, client := range []string{"reports", "svc:a+b_~1"} {
		p.register(strings.NewReplacer(":", "%3A", "+", "%2B", "~", "%7E").Replace(client))
		var made struct{ Key string }
		p.post("/v1/admin/apikeys", map[string]any{"client": client, "scopes": []string{"introspect"}}, p.admin, &made)
		cmd := exec.CommandContext(ctx, "node", "clients.mjs")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ISSUER="+p.url, "CLIENT="+client, "SECRET="+made.Key, "ADMIN="+p.admin)
		out, err := cmd.CombinedOutput()
		if n := strings.Count(string(out), "ok "); err != nil || n != 7 {
			t.Errorf("%s: %v\n%s", client, err, out)
		}
	}
}

// nodeModules installs what package-lock.json of a folder names, by its hashes, beside the scripts of
// that folder, and returns the new folder.
func nodeModules(ctx context.Context, t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	for _, pattern := range []string{"package*.json", "*.mjs"} {
		names, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s has no %s: %v", from, pattern, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci (.ci/run installs node and npm): %v\n%s", err, out)
	}
	return dir
}
