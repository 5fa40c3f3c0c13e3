package counterfoil_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
)

// The code of README.md, word for word: TestREADME holds it to that.
func ExampleNewVerifier() {
	var ctx context.Context
	var apiKey string
	var reports http.Handler

	run := func() {
		source, err := counterfoil.Remote("https://auth.example.com", counterfoil.RemoteOptions{Credential: apiKey})
		if err != nil {
			log.Fatal(err)
		}
		verifier, err := counterfoil.NewVerifier(ctx, source, counterfoil.Options{
			Issuer:   "https://auth.example.com",
			Audience: "https://auth.example.com",
		})
		if err != nil {
			log.Fatal(err)
		}
		defer verifier.Close()
		http.Handle("GET /reports", verifier.Require(reports, counterfoil.Role("staff")))
		// In the handler: session, _ := counterfoil.FromContext(r.Context())
	}
	_ = run
}

func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	trimmed := func(text string) (lines []string) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		return lines
	}
	code, blocks := trimmed(string(self)), 0
	for _, part := range strings.Split(string(readme), "```go\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		lines := trimmed(block)
		blocks++
		at := slices.Index(code, lines[0])
		if at < 0 || len(code) < at+len(lines) || !slices.Equal(code[at:at+len(lines)], lines) {
			t.Errorf("README.md shows code that is not compiled here:\n%s", block)
		}
	}
	if blocks == 0 {
		t.Error("README.md shows no code")
	}
}
