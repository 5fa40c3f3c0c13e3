package password

import (
	"strings"
	"testing"
)

// LOGIN-05: a stored string cannot ask for more than the machine has to give.
func TestHostileHashes(t *testing.T) {
	good := hash("x", insecure)
	if match, _, err := verify(good, "x", insecure); !match || err != nil {
		t.Fatalf("verify(%s) = %v, %v", good, match, err)
	}
	salted := good[strings.LastIndex(good[:strings.LastIndex(good, "$")], "$"):] // $salt$sum
	for _, bad := range []string{
		"", "null", "x", "$argon2d$v=19$m=64,t=1,p=1" + salted, "$argon2id$v=16$m=64,t=1,p=1" + salted,
		"$argon2id$v=19$m=4194304,t=1,p=1" + salted, "$argon2id$v=19$m=64,t=11,p=1" + salted,
		"$argon2id$v=19$m=262144,t=1,p=9" + salted, "$argon2id$v=19$m=64,t=0,p=1" + salted, "$argon2id$v=19$m=64,t=1,p=0" + salted,
		"$argon2id$v=19$m=-64,t=1,p=1" + salted, "$argon2id$v=19$m=1,t=1,p=1" + salted,
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 10) + "$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 20),
		"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 400), good + "\n", good + "$x",
	} {
		if match, _, err := verify(bad, "x", insecure); match || err == nil {
			t.Errorf("verify(%q) = %v, %v, want an error", bad, match, err)
		}
	}
}

// LOGIN-03: what is below policy is told, so that it is made anew.
func TestWeakHash(t *testing.T) {
	for old, weak := range map[params]bool{
		insecure: true, {m: 65536, t: 1, p: 1}: true, {m: 19456, t: 2, p: 1}: true, production: false, {m: 1 << 17, t: 3, p: 1}: false,
	} {
		if got := old.below(production); got != weak {
			t.Errorf("%v below %v = %v", old, production, got)
		}
	}
	for policy, weak := range map[params]bool{insecure: false, production: true} {
		if match, outdated, err := verify(hash("x", insecure), "x", policy); !match || outdated != weak || err != nil {
			t.Errorf("verify by %v = %v, %v, %v", policy, match, outdated, err)
		}
	}
}
