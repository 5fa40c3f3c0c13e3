package e2e_test

import (
	"os/exec"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// listen is [testsvc.Listen]; cmd.Stderr is an [output] then.
func listen(t *testing.T, cmd *exec.Cmd, address string) (ended <-chan struct{}) {
	t.Helper()
	said := new(output)
	cmd.Stderr, cmd.Stdout = said, said
	return testsvc.Listen(t, cmd, address)
}
