package issuer_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
)

// KEY-04, KEY-08: somebody makes up key ids, so that no unknown one has the keys fetched.
// Another key comes to sign meanwhile, and no good token is refused.
func TestRotateUnderFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := bubbleIssuer(t)
		var verifiers []*counterfoil.Verifier
		for range 3 {
			source := struct{ counterfoil.Source }{i} // fetches the keys: the issuer itself would lend them
			v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: "https://auth.test", Audience: "https://auth.test"})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			verifiers = append(verifiers, v)
		}
		signed := make(map[string]bool)
		for step := range 200 { // of five seconds
			if step == 3 { // the flood has just had the keys fetched
				if err := i.RotateKey(t.Context(), rights.Owner(), audit.Act{}); err != nil {
					t.Fatal(err)
				}
			}
			issued, err := i.Login(t.Context(), login.Proof{Subject: "alice", Methods: []string{"pwd"}, At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
			if err != nil {
				t.Fatal(err)
			}
			good := issued.Access.Reveal()
			signed[issued.Session.KeyID] = true
			_, rest, _ := strings.Cut(good, ".")
			for n, v := range verifiers {
				if _, err := v.Verify(t.Context(), good); err != nil {
					t.Errorf("step %d, verifier %d: Verify = %v, signed by key %d", step, n, err, len(signed))
				}
				for junk := range 10 {
					header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"made-up-%d-%d"}`, step, junk)
					if _, err := v.Verify(t.Context(), base64.RawURLEncoding.EncodeToString([]byte(header))+"."+rest); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("Verify of a made-up key = %v, want ErrInvalidToken", err)
					}
				}
			}
			time.Sleep(5 * time.Second)
		}
		if len(signed) != 2 {
			t.Errorf("%d keys signed, want 2", len(signed))
		}
	})
}
