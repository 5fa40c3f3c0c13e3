package accounts_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// LOGIN-19: a node stops after it took a credential away. The same call again, by any
// node, still makes the proofs void that were given with the credential.
func TestDeleteCredentialAgain(t *testing.T) {
	for round, s := range rounds(t) {
		sessions := storetest.Faulty(s.sessions)
		users := s.users
		if s.users == s.sessions {
			users = sessions
		}
		dying, other := openForSteps(t, stores{users, sessions}), openForSteps(t, s)
		u := other.known()
		act := audit.Act{By: audit.ByLocal}
		must(t, other.Users().SetCredential(t.Context(), rights.Owner(), u.ID, act, login.Credential{Kind: "totp", ID: "phone", Data: []byte(`"secret"`)}))
		proven, err := other.Issuer().SubjectRev(t.Context(), u.ID)
		must(t, err)

		after := 0
		if s.users == s.sessions {
			after = 1 // the first commit takes the credential away
		}
		sessions.Inject(storetest.Fault{Op: storetest.OpCommit, After: after, Times: 1})
		if err := dying.Users().DeleteCredential(t.Context(), rights.Owner(), u.ID, act, "totp", "phone"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Fatalf("%s: DeleteCredential = %v, want the outage", round, err)
		}
		sessions.Heal()
		if err := other.Users().DeleteCredential(t.Context(), rights.Owner(), u.ID, act, "totp", "phone"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: DeleteCredential again = %v, want ErrNotFound", round, err)
		}
		if rev, err := other.Issuer().SubjectRev(t.Context(), u.ID); err != nil || rev == proven {
			t.Errorf("%s: the revision is %d still, %v: a proof with the credential goes on", round, rev, err)
		}
	}
}
