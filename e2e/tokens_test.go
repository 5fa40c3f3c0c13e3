package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// runToken runs counterfoil token with files of the given contents, by name. It returns what the
// program prints, and its exit code.
func runToken(ctx context.Context, t *testing.T, files map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary, append([]string{"token"}, args...)...)
	cmd.Dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(cmd.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	_ = cmd.Run()
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// keyFlags are the flags for a key in the file key.
func keyFlags(key, encoding string) []string {
	if strings.HasPrefix(key, "{") || strings.HasPrefix(key, "-----") {
		return []string{"--key", "key"}
	}
	return []string{"--secret", "key", "--secret-encoding", encoding}
}

// The command accepts what jose and @sd-jwt/core make, reads the same in it, and refuses what is
// broken, with exit code 1 and without a word of its contents.
func TestCommandReadsWhatOthersMake(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, c := range samples(ctx, t, nodeModules(ctx, t, "inspector")) {
		files := map[string]string{"token": c.Token, "key": c.Key}
		args := append([]string{c.Verb, "token"}, keyFlags(c.Key, c.Encoding)...)
		if c.Verb == "verify" {
			args = append(args, "--json")
		}
		stdout, stderr, code := runToken(ctx, t, files, args...)
		if !c.Good {
			var v struct {
				Valid           bool
				Claims, Payload json.RawMessage
			}
			_ = json.Unmarshal([]byte(stdout), &v)
			if code != 1 || v.Valid || v.Claims != nil || v.Payload != nil || c.Verb == "decrypt" && stdout != "" {
				t.Errorf("%s: exit code %d, %.300s %s", c.Name, code, stdout, stderr)
			}
			continue
		}
		if code != 0 {
			t.Errorf("%s: exit code %d, %.1500s %s", c.Name, code, stdout, stderr)
			continue
		}
		if c.Verb == "decrypt" {
			if stdout != *c.Payload {
				t.Errorf("%s: read %.300q, want %.300q", c.Name, stdout, *c.Payload)
			}
			continue
		}
		var v struct {
			Valid  bool
			Claims any
		}
		var want any
		if err := json.Unmarshal([]byte(*c.Payload), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || !v.Valid || !reflect.DeepEqual(v.Claims, want) {
			t.Errorf("%s: read %.900s, want %s (%v)", c.Name, stdout, *c.Payload, err)
		}
	}
}

// maker is a key for the command, and the same for jose.
type maker struct{ own, public, private string }

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// makers returns a key for each algorithm: EC by curve, RSA, Ed25519, and secrets by size.
func makers(t *testing.T) map[string]maker {
	t.Helper()
	made := map[string]maker{}
	add := func(name string, private any, public, secret map[string]string) {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range public {
			secret[k] = v
		}
		p, _ := json.Marshal(public)
		s, _ := json.Marshal(secret)
		made[name] = maker{string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(p), string(s)}
	}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := key.PublicKey.Bytes()
		d, _ := key.Bytes()
		n := (len(raw) - 1) / 2
		add(c.Params().Name, key, map[string]string{"kty": "EC", "crv": c.Params().Name, "x": b64url(raw[1 : 1+n]), "y": b64url(raw[1+n:])}, map[string]string{"d": b64url(d)})
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	num := func(n *big.Int) string { return b64url(n.Bytes()) }
	add("RSA", key, map[string]string{"kty": "RSA", "n": num(key.N), "e": "AQAB"}, map[string]string{"d": num(key.D), "p": num(key.Primes[0]), "q": num(key.Primes[1]),
		"dp": num(key.Precomputed.Dp), "dq": num(key.Precomputed.Dq), "qi": num(key.Precomputed.Qinv)})
	public, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	add("Ed25519", ed, map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64url(public)}, map[string]string{"d": b64url(ed.Seed())})
	for _, n := range []int{16, 24, 32, 48, 64} {
		secret := make([]byte, n)
		_, _ = rand.Read(secret)
		jwk := fmt.Sprintf(`{"kty":"oct","k":%q}`, b64url(secret))
		made[strconv.Itoa(n)] = maker{jwk, jwk, jwk}
	}
	return made
}

// jose accepts what the command makes, with each algorithm.
func TestOthersReadWhatCommandMakes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	keys := makers(t)
	var made []sample
	add := func(verb, alg, enc, key, joseKey, payload string) {
		verbs := map[string]string{"verify": "sign", "decrypt": "encrypt"}
		args := append([]string{verbs[verb], "text", "--alg", alg}, keyFlags(key, "text")...)
		if enc != "" {
			args = append(args, "--enc", enc)
		}
		if strings.HasPrefix(alg, "PBES2") {
			args = append(args, "--rounds", "1500")
		}
		stdout, stderr, code := runToken(ctx, t, map[string]string{"text": payload, "key": key}, args...)
		if code != 0 {
			t.Errorf("%s %s: exit code %d %s", alg, enc, code, stderr)
			return
		}
		made = append(made, sample{Name: alg + " " + enc, Verb: verb, Token: strings.TrimSpace(stdout), Key: joseKey, Payload: &payload})
	}
	for alg, name := range map[string]string{"HS256": "32", "HS384": "48", "HS512": "64", "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
		"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519", "EdDSA": "Ed25519"} {
		add("verify", alg, "", keys[name].own, keys[name].public, `{"sub":"ä","exp":4e9}`)
	}
	sizes := map[string]string{"A128GCM": "16", "A192GCM": "24", "A256GCM": "32", "A128CBC-HS256": "32", "A192CBC-HS384": "48", "A256CBC-HS512": "64"}
	for enc, size := range sizes {
		own := map[string][]string{"dir": {size}, "A128KW": {"16"}, "A192KW": {"24"}, "A256KW": {"32"}, "A128GCMKW": {"16"}, "A192GCMKW": {"24"}, "A256GCMKW": {"32"},
			"RSA-OAEP": {"RSA"}, "RSA-OAEP-256": {"RSA"}}
		for _, alg := range []string{"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"} {
			own[alg] = []string{"P-256", "P-384", "P-521"}
		}
		for alg, names := range own {
			for _, name := range names {
				add("decrypt", alg, enc, keys[name].own, keys[name].private, `{"sub":"`+name+`"}`)
			}
		}
		for _, alg := range []string{"PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"} {
			add("decrypt", alg, enc, "a password of some length", "a password of some length", `{"sub":"u"}`)
		}
	}
	input, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", "check.mjs")
	cmd.Dir, cmd.Stdin = nodeModules(ctx, t, "inspector"), bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("check.mjs: %v\n%s", err, out)
	}
	t.Logf("jose read %d tokens", len(made))
}

// The command finds what each vector of the rules says, and not in its neighbour.
func TestCommandLintsVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../inspect/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Rule, About, Token, Neighbour string
		Now                           int64
		Key                           json.RawMessage
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 70 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, v := range vectors {
		for text, want := range map[string]bool{v.Token: true, v.Neighbour: false} {
			args := []string{"lint", "token", "--json", "--at", strconv.FormatInt(v.Now, 10)}
			if v.Key != nil {
				args = append(args, "--key", "key")
			}
			stdout, stderr, code := runToken(ctx, t, map[string]string{"token": text, "key": string(v.Key)}, args...)
			var found []struct{ ID, Severity string }
			if err := json.Unmarshal([]byte(stdout), &found); err != nil {
				t.Errorf("%s (%s): %v %s %s", v.Rule, v.About, err, stdout, stderr)
			}
			has, fails := false, 0
			for _, f := range found {
				has = has || f.ID == v.Rule
				if f.Severity == "error" {
					fails = 1
				}
			}
			if has != want || code != fails {
				t.Errorf("%s (%s): exit code %d, %s", v.Rule, v.About, code, stdout)
			}
		}
	}
}
