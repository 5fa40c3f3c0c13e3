package e2e_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A key works in each spelling that people have of it: what is signed with any spelling of the
// private key is verified with any of the public one.
func TestInspectorKeys(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(inspectorFile(t)))
	must := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	block := func(label string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: data}))
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"RS256": rsaKey, "PS512": rsaKey}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if keys[alg], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if _, keys["Ed25519"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	for alg, key := range keys {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: alg}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		private := []string{block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))}
		public := []string{
			block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))),
			block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))),
			"a note before\n" + private[0] + block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))), // a file with both
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			private = append(private, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
			public = append(public, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)))
		case *ecdsa.PrivateKey:
			private = append(private, block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))))
		}
		byKid, err := json.Marshal(map[string]string{"another": block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(keys["ES256"].Public()))), "this": public[1]})
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, string(byKid))
		for _, secret := range private {
			if said := b.tab("sign", map[string]string{"alg": alg, "key": secret}); !strings.HasPrefix(said, "Signed") {
				t.Errorf("%s with %s: %s", alg, secret, said)
				continue
			}
			token := b.script(`document.getElementById("sign-result").value`)
			for _, shown := range public {
				if said := b.tab("verify", map[string]string{"token": token, "key": shown}); !strings.HasPrefix(said, "✔ Signature verified") {
					t.Errorf("%s with %s and %s: %s", alg, secret, shown, said)
				}
			}
		}
		expired := *template
		expired.NotAfter = time.Now().Add(-time.Minute)
		said := b.tab("verify", map[string]string{"key": block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, &expired, template, key.Public(), key)))})
		if !strings.Contains(said, "the certificate is valid from") {
			t.Errorf("%s, an expired certificate: %s", alg, said)
		}
	}
	said := b.tab("verify", map[string]string{"key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"})
	if !strings.HasPrefix(said, "✘ Refused") || !strings.Contains(said, "is encrypted") {
		t.Errorf("an encrypted key: %s", said)
	}
}
