package counterfoil_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
)

// What cannot be meant is refused at the start, with the name of the field.
func TestOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		for name, o := range map[string]counterfoil.Options{
			"Bound":                {Bound: time.Second},
			"Leeway":               {Leeway: 2 * time.Minute},
			"MaxLifetime":          {MaxLifetime: 2 * time.Hour},
			"MaxKeysAge":           {MaxKeysAge: time.Minute},
			"ServeStale":           {ServeStale: time.Hour},
			"Stale":                {Stale: counterfoil.ServeStale(time.Second)},
			"MaxSeen":              {MaxSeen: -1},
			"MaxSeenBytes":         {MaxSeenBytes: 65_535},
			"MaxEntries":           {MaxEntries: -1},
			"Origins":              {Origins: []string{"null"}}, // CSRF-08: every sandboxed frame can send it
			"Algorithms":           {Algorithms: []string{"HS256"}},
			"DecryptionKeys":       {DecryptionKeys: []counterfoil.DecryptionKey{{ID: "e1"}}},
			"DecryptionKeys: e1: ": {DecryptionKeys: []counterfoil.DecryptionKey{{ID: "e1", Direct: make([]byte, 32), Wrapped: true}}},
		} {
			o.Issuer, o.Audience = issuerURL, issuerURL
			if _, err := counterfoil.NewVerifier(t.Context(), s, o); err == nil || !strings.Contains(err.Error(), "Options."+name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, origin := range []string{"auth.test", "https://auth.test/", "https://auth.test/path", "https://user@auth.test", "*", "https://"} {
			o := counterfoil.Options{Issuer: issuerURL, Audience: issuerURL, Origins: []string{origin}}
			if _, err := counterfoil.NewVerifier(t.Context(), s, o); err == nil {
				t.Errorf("origin %q is accepted", origin)
			}
		}
		// iss is compared byte by byte: with another spelling of the issuer no token would pass.
		for issuer, right := range map[string]string{
			"https://Auth.test": "write https://auth.test", "https://auth.test/": "write https://auth.test", "https://auth.test:443/a": "write https://auth.test/a",
			"https://auth.test.": "write https://auth.test", "http://auth.test": "use https",
		} {
			_, err := counterfoil.NewVerifier(t.Context(), s, counterfoil.Options{Issuer: issuer, Audience: "api"})
			if err == nil || !strings.Contains(err.Error(), "Options.Issuer") || !strings.Contains(err.Error(), right) {
				t.Errorf("issuer %q: %v, want %q", issuer, err, right)
			}
			if _, err := counterfoil.Remote(issuer, counterfoil.RemoteOptions{Credential: "x"}); err == nil || !strings.Contains(err.Error(), right) {
				t.Errorf("Remote(%q): %v, want %q", issuer, err, right)
			}
		}
	})
}

// OPS-01: a key does not show in what prints the options.
func TestDecryptionKeyPrintsNothing(t *testing.T) {
	o := counterfoil.Options{DecryptionKeys: []counterfoil.DecryptionKey{{ID: "e1", Direct: []byte("canary-canary-canary-canary-cana")}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(verb, o.DecryptionKeys)
		if strings.Contains(text, "canary") || strings.Contains(text, "99 97 110") || strings.Contains(text, "0x63") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}
