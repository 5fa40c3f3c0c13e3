package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// RFC 9728, RFC 9470: an OAuth library that nginx refuses finds the authorization server, and what its
// login lacks.
func TestGatewayTellsClients(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	f := newFront(t, "nginx")
	cmd := exec.CommandContext(ctx, "node", "resource.mjs")
	cmd.Dir = nodeModules(ctx, t, "oauth")
	cmd.Env = append(os.Environ(), "SERVICE="+f.url+"/x", "STRONG="+f.url+"/strong", "ISSUER="+f.issuer.URL, "TOKEN="+f.issuer.Token("alice"))
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v\n%s", err, out)
	}
}

// described follows the challenge of a refusal to the metadata of what was asked for.
func (f *front) described(challenge, path string) {
	f.t.Helper()
	const metadata = "/.well-known/oauth-protected-resource"
	if want := `resource_metadata="` + f.url + metadata + path + `"`; !strings.Contains(challenge, want) {
		f.t.Errorf("%s is refused with %q, want %s in it", path, challenge, want)
	}
	status, h, body := f.ask("GET", metadata+path, "")
	if status != 200 || h.Get("Content-Type") != "application/json" || !strings.Contains(body, `"resource":"`+f.url+path+`","authorization_servers":["`+f.issuer.URL+`"]`) {
		f.t.Errorf("the metadata of %s: %d %v %s", path, status, h, body)
	}
}
