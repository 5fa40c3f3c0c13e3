package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// signedBy returns the header of h's token.
func (p *program) signedBy(h *holder) (header struct{ Alg, Kid string }) {
	p.t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(h.Access, ".")[0])
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return header
}

// KEY-04: the configuration changes the signing algorithm of one folder. Older tokens stay
// good, even after "key rotate", until the old key is revoked. Then the new key signs at once,
// because it has already been published.
func TestSigningAlgorithms(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	env := []string{"COUNTERFOIL_DATA=" + data}
	var before *holder
	was := ""
	address := testsvc.FreeAddress(t) // the issuer stays the same
	for _, alg := range []string{"ES256", "Ed25519", "RS256", "PS256", "ES384"} {
		p := startAt(t, address, "--store", "sqlite", "--data", data, "--algorithm", alg)
		if before != nil {
			command(t, p.output, env, "", "key", "rotate")
			if got := p.call(before); got != http.StatusOK {
				t.Errorf("%s: a token of %s from before the restart gets %d", alg, was, got)
			}
			h := p.login("user", "bearer", "")
			if got := p.signedBy(h).Alg; got != was {
				t.Errorf("%s: the server signs with %s at once, before every verifier knows that key", alg, got)
			}
			command(t, p.output, env, "", "key", "revoke", p.signedBy(h).Kid)
			p.refused(before)
		}
		h := p.login("user", "bearer", "")
		if got := p.signedBy(h).Alg; got != alg {
			t.Errorf("signs with %s, want %s", got, alg)
		}
		if got := p.call(h); got != http.StatusOK {
			t.Errorf("%s: a token gets %d", alg, got)
		}
		before, was = h, alg
		p.kill()
	}
	// TOK-03: the server never uses symmetric and asymmetric keys together.
	plain := []string{"COUNTERFOIL_DATA=" + t.TempDir()} // not of a demo
	command(t, new(output), plain, "", "key", "create", "--client", "service", "--scope", "introspect")
	out, code := fails(t, plain, "serve", "--store", "sqlite", "--listen", "127.0.0.1:0", "--ops-listen", "off", "--algorithm", "HS256")
	if code != 3 || !strings.Contains(out, "cannot be mixed") {
		t.Errorf("HS256 on this folder: exit code %d, %s", code, out)
	}
}

// HS256 has no public key, so only the server itself can verify its tokens.
func TestSingleService(t *testing.T) {
	t.Parallel()
	out := &output{}
	env := []string{"COUNTERFOIL_DATA=" + t.TempDir(), "COUNTERFOIL_ALGORITHM=HS256"}
	key := command(t, out, env, "", "key", "create", "--client", "service", "--scope", "admin")
	p, _ := startPlain(t, out, env)
	p.admin = key
	h := p.login("user", "bearer", "")
	if got := p.signedBy(h).Alg; got != "HS256" {
		t.Errorf("signs with %s", got)
	}
	if got := p.get(p.url+"/v1/session", h); got != http.StatusOK {
		t.Errorf("the server refuses its own token: %d", got)
	}
	res, err := http.Get(p.url + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil || len(set.Keys) != 0 {
		t.Errorf("the key set has %d keys, %v: want none, because the only key is a secret", len(set.Keys), err)
	}
}
