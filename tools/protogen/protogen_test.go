package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The code in the repository is what the .proto says, with the generator of go.mod.
func TestGenerated(t *testing.T) {
	want, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("../..", target))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("envoyauth.pb.go is not what its .proto says (%v): run go run -C tools ./protogen", err)
	}
}
