package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
)

// However many verifiers ask at once and share reads, each gets the verdict on the key that it shows,
// as it is when it asks: a key that was deleted before opens nothing any more.
func TestFollowersWithManyKeys(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	newKey := func(client, scope string) (id, key string) {
		made, secret, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: client, Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID, secret.Reveal()
	}
	_, good := newKey("good", directory.ScopeFeed)
	_, other := newKey("other", directory.ScopeIntrospect)
	ending, gone := newKey("gone", directory.ScopeFeed)
	var all sync.WaitGroup
	ask := func(key string, want int) {
		for n := range 60 {
			all.Go(func() {
				w := b.answer("GET", "/v1/log?wait=1ms", "", "Authorization", "Bearer "+key, "Accept", "application/json-seq")
				if w.Code != want || (w.Body.Len() > 0 && w.Body.Bytes()[0] == 0x1e) != (want == http.StatusOK) {
					t.Errorf("question %d with %.8s…: %d %s, want %d", n, key, w.Code, w.Body, want)
				}
			})
		}
	}
	ask(gone, http.StatusOK)
	all.Wait()
	for range 3 {
		ask(good, http.StatusOK)
		ask(other, http.StatusForbidden)
		ask("cfk_"+strings.Repeat("A", 43), http.StatusUnauthorized)
	}
	if err := b.users.DeleteKey(t.Context(), rights.Owner(), ending, audit.Act{}); err != nil {
		t.Fatal(err)
	}
	ask(gone, http.StatusUnauthorized)
	all.Wait()
}
