package compare_test

import (
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/compare"
)

func statuses(t *testing.T, end bool, change func(string) string) map[string]int {
	t.Helper()
	found, err := compare.Statuses(t.Context(), options(t), end, change)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 14 {
		t.Errorf("%d contenders", len(found))
	}
	return found
}

// other changes a character in the middle of the last part of a credential: of an id, of a signature or of
// a tag.
func other(field string) string {
	if strings.HasPrefix(field, "Accept") { // of no check
		return field
	}
	at := strings.LastIndexAny(field, ".= ") + 5
	c := byte('A')
	if field[at] == c {
		c = 'B'
	}
	return field[:at] + string(c) + field[at+1:]
}

// Every contender checks: it accepts its own credential, and refuses one with another character.
func TestWrongCredentialIsRefused(t *testing.T) {
	for id, status := range statuses(t, false, func(field string) string { return field }) {
		if status != 200 {
			t.Errorf("%s: a good credential = %d", id, status)
		}
	}
	for id, status := range statuses(t, false, other) {
		want := 401
		if id == "none" {
			want = 200
		}
		if status != want {
			t.Errorf("%s: a wrong credential = %d, want %d", id, status, want)
		}
	}
	for id, status := range statuses(t, false, func(string) string { return "Accept-Language: en" }) {
		if id != "none" && status != 401 {
			t.Errorf("%s: no credential = %d, want 401", id, status)
		}
	}
}

// A session and a token on the blocklist are refused once they are ended. A token without a blocklist is not.
func TestEndedIsRefused(t *testing.T) {
	found := statuses(t, true, func(field string) string { return field })
	for id, want := range map[string]int{"session-memory": 401, "session-sqlite": 401, "jwt-blocklist-sqlite": 401, "jwt-es256": 200, "jwe": 200} {
		if found[id] != want {
			t.Errorf("%s: ended = %d, want %d", id, found[id], want)
		}
	}
}
