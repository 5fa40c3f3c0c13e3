package e2e_test

import (
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// listen is [testsvc.Listen]; cmd.Stderr is an [output] then.
func listen(t *testing.T, cmd *exec.Cmd, address string) (ended <-chan struct{}) {
	t.Helper()
	said := new(output)
	cmd.Stderr, cmd.Stdout = said, said
	return testsvc.Listen(t, cmd, address)
}

// awaitReady returns when a program that listens says at its ops listener that it can accept a credential.
func awaitReady(t *testing.T, ops string) {
	t.Helper()
	answer := ""
	for begun := time.Now(); time.Since(begun) < hung; pause(5 * time.Millisecond) {
		res, err := http.Get("http://" + ops + "/readyz")
		if err != nil {
			answer = err.Error()
			continue
		}
		_ = res.Body.Close()
		if answer = res.Status; res.StatusCode == http.StatusNoContent {
			return
		}
	}
	t.Fatalf("%s is not ready: %s", ops, answer)
}
