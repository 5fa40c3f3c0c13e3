package main

import (
	"strings"
	"testing"
)

// OPS-11: a credential in an argument is refused before anything is done with it, and no message
// repeats it.
func TestCredentialsInArguments(t *testing.T) {
	const opaque = "Zm9yIGEgc2Vzc2lvbiBjb29raWUgb2YgMzIgYnl0ZXM"
	long := strings.Repeat("Ab1", 14) + "Z"
	for _, c := range []string{
		"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.AAAA", "eyJhbGciOiJFQ0RILUVTIn0..AAAA.BBBB.CCCC", "cfk_" + long, "cfi_" + long,
		"https://auth.example.com/welcome#cfi_" + long, "cfr_" + strings.Repeat("A", 75), "cfd_" + long, "cfa_" + long, "Bearer cfk_" + long,
		opaque,
	} {
		for _, args := range [][]string{{"token", "decode", c}, {"session", "revoke", "--token", c}, {"session", "revoke", "--token=" + c}, {"user", "add", "alice", c}} {
			if c == opaque && args[0] == "user" {
				continue
			}
			err := refuseCredentials(args)
			if err == nil || strings.Contains(err.Error(), long) || strings.Contains(err.Error(), c) {
				t.Errorf("%v: %v", args, err)
			}
		}
	}
	for _, args := range [][]string{
		{"session", "show", "ses_" + strings.ToLower(long[:26])}, {"key", "revoke", "kabcdefghijklmnop"}, {"apikey", "delete", opaque}, {"user", "show", strings.Repeat("long.name", 5)},
		{"user", "show", "anna-maria-von-der-gracht-und-zu-hohenstein"}, {"serve", "--store=postgres://node@db/counterfoil?sslmode=verify-full"},
		{"token", "verify", "t.jwt", "--jwks", "https://auth.example.com/.well-known/jwks.json", "--issuer", "https://auth.example.com"},
	} {
		if err := refuseCredentials(args); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}
