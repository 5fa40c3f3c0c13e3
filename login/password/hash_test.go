package password

import (
	"strings"
	"testing"
)

// LOGIN-05: a stored string cannot ask for more than the machine has to give.
func TestHostileHashes(t *testing.T) {
	good := hash("x", policy)
	if match, _, err := verify(good, "x"); !match || err != nil {
		t.Fatalf("verify(%s) = %v, %v", good, match, err)
	}
	salted := good[strings.LastIndex(good[:strings.LastIndex(good, "$")], "$"):] // $salt$sum
	for _, bad := range []string{
		"", "null", "x", "$argon2i$v=19$m=64,t=1,p=1" + salted, "$argon2id$v=16$m=64,t=1,p=1" + salted,
		"$argon2id$v=19$m=4194304,t=1,p=1" + salted, "$argon2id$v=19$m=64,t=11,p=1" + salted,
		"$argon2id$v=19$m=262144,t=1,p=9" + salted, "$argon2id$v=19$m=64,t=0,p=1" + salted, "$argon2id$v=19$m=64,t=1,p=0" + salted,
		"$argon2id$v=19$m=-64,t=1,p=1" + salted, "$argon2id$v=19$m=1,t=1,p=1" + salted,
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 10) + "$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 20),
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 400), good + "\n", good + "$x",
	} {
		if match, _, err := verify(bad, "x"); match || err == nil {
			t.Errorf("verify(%q) = %v, %v, want an error", bad, match, err)
		}
	}
}

// LOGIN-03: what is below policy is told, so that it is made anew.
func TestWeakHash(t *testing.T) {
	before := policy
	old := hash("x", policy)
	policy = params{m: 128, t: 2, p: 1}
	defer func() { policy = before }()
	if match, weak, err := verify(old, "x"); !match || !weak || err != nil {
		t.Errorf("verify(old) = %v, %v, %v, want a weak match", match, weak, err)
	}
	if _, weak, _ := verify(hash("x", policy), "x"); weak {
		t.Error("a hash of today is weak")
	}
}
