package repotest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// guessable may draw from math/rand: pauses, strides of the log, epochs, and what only runs
// in tests. None of it is a secret.
var guessable = []string{
	"follower.go", "gateway/live.go", "internal/hostcert/host.go", "keys.go", "internal/retry/retry.go", // pauses
	"issuer/session.go", "login/throttle/commit.go", // lifetimes that do not all end at once; a pause
	"store/memory/log.go", "store/postgres/commit.go", "store/postgres/epoch.go", "store/postgres/log.go",
	"store/redis/log.go", "store/redis/redis.go", "store/sqlite/group.go", "store/sqlite/sqlite.go", // epochs, strides, pauses
	"hot.go",                                                         // which copies come in
	"compare/compare.go", "compare/load.go", "compare/statistics.go", // order and times of requests, a bootstrap
	"prove/server.go", "prove/servers.go", "prove/traffic.go", "internal/faultnet/faultnet.go", "internal/testsvc/testsvc.go",
	"store/storetest/linear/linear.go", "store/storetest/races.go",
}

// SES-01: ids, tokens, keys, challenges and nonces come from crypto/rand. A file that
// wants math/rand says in the list above what for.
func TestSecretsAreRandom(t *testing.T) {
	out, err := exec.Command("git", "grep", "-l", `"math/rand`, "--", "*.go", ":!*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Fields(string(out))
	for _, file := range found {
		if !slices.Contains(guessable, file) {
			t.Errorf("%s imports math/rand", file)
		}
	}
	for _, file := range guessable {
		if !slices.Contains(found, file) {
			t.Errorf("%s does not import math/rand any more", file)
		}
		if strings.Contains(text(t, file), `"crypto/rand"`) {
			t.Errorf("%s imports both packages named rand", file)
		}
	}
}
