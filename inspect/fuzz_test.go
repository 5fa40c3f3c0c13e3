package inspect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"
)

// No text makes the package panic, and no answer is without bounds. What nobody signed has no
// claims, and of a credential that is no token only the kind is said.
func FuzzInspect(f *testing.F) {
	for _, v := range vectors() {
		f.Add(v.Token)
		f.Add(v.Neighbour)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	var key Key
	if err := key.set(private); err != nil {
		f.Fatal(err)
	}
	keys := &Keys{List: []Key{key}, set: true}
	for _, text := range []string{"cfr_Zm9vYmFyZm9vYmFyZm9v", "cfk_Zm9vYmFyZm9vYmFyZm9v", `{"keys":[]}`, "a~b~c", `{"payload":"","signatures":[]}`,
		`{"ciphertext":"","recipients":[{"header":{"alg":"ECDH-ES"}}],"protected":"e30"}`} {
		f.Add(text)
	}
	at := time.Unix(now, 0)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Decode(text, at)
		if (err == nil) != (d != nil) {
			t.Fatalf("Decode = %v, %v", d, err)
		}
		if d != nil {
			if _, err := json.Marshal(d); err != nil || d.Verified {
				t.Fatalf("%+v: %v", d, err)
			}
			if d.Form == "opaque" && (d.Header != nil || d.Claims != nil || d.Payload != "" || d.Problems != nil) {
				t.Fatalf("it says of a credential: %+v", d)
			}
		}
		if list := Lint(text, LintOptions{Now: at}); len(list) > maxFindings {
			t.Fatalf("%d findings", len(list))
		}
		if v, err := Verify(text, VerifyOptions{Keys: keys, Now: at}); err == nil && (v.Valid || v.Claims != nil || v.Payload != nil || v.Disclosed != nil) {
			t.Fatalf("nobody signed it with a new key: %+v", v)
		}
		if d, err := Decrypt(text, keys); err == nil || d != nil && d.Text != nil {
			t.Fatalf("nobody encrypted it to a new key: %+v", d)
		}
		if k, err := ParseKeys([]byte(text)); err == nil && len(k.List) == 0 {
			t.Fatal("no keys, and no error")
		}
	})
}
