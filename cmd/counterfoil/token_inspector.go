package main

import (
	"fmt"
	"os"

	"github.com/counterfoil/counterfoil/inspect/inspector"
)

type tokenInspector struct{}

// Run prints the inspector, one file that works from disk, and its hash beside it.
func (tokenInspector) Run() error {
	if _, err := os.Stdout.Write(inspector.HTML()); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "SHA-256 %s\n", inspector.Hash())
	return nil
}
