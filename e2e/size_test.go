package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The program, stripped, has at most 44 MiB, with gRPC, the console, the monitor, mail and all: it is downloaded with
// each image.
func TestSize(t *testing.T) {
	t.Parallel()
	const most = 44 << 20
	file := filepath.Join(t.TempDir(), "counterfoil")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-ldflags", "-s -w", "-o", file, "./cmd/counterfoil").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MiB", float64(f.Size())/(1<<20))
	if f.Size() > most {
		t.Errorf("%d bytes, want at most %d", f.Size(), most)
	}
}
