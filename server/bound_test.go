package server_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// The verifier inside follows with a bound that the server allows, and may serve stale as long as the
// program says.
func TestBoundOfTheVerifierInside(t *testing.T) {
	for most, want := range map[time.Duration]time.Duration{0: 10 * time.Second, 2 * time.Second: 2 * time.Second, time.Minute: 10 * time.Second} {
		e, err := server.Open(t.Context(), server.Config{
			Store: memory.New(), URL: "http://127.0.0.1:8080", MaxBound: most, ServeStale: 20 * time.Second, InsecureHashes: true,
		})
		if err != nil {
			t.Errorf("max bound %v: %v", most, err)
			continue
		}
		if s := e.Verifier().Status(); s.Bound != want || s.ServeStale != 20*time.Second {
			t.Errorf("max bound %v: %v and %v, want %v and 20s", most, s.Bound, s.ServeStale, want)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
