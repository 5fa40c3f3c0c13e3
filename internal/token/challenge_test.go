package token

import "testing"

// RFC 7636 appendix B.
func TestChallenge(t *testing.T) {
	const want = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if got := Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != want || len(got) != ChallengeSize {
		t.Errorf("the challenge is %s, want %s", got, want)
	}
}
