package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// OPS-01: no way of printing shows the value.
func TestNeverPrinted(t *testing.T) {
	const canary = "canary-credential"
	s := secret.New(canary)
	holder := struct{ Password secret.String }{s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+verb+verb, s, &s, holder)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", s, "b", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", s, "b", holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
		t.Errorf("printed: %s", text)
	}
	if s.Reveal() != canary {
		t.Errorf("Reveal = %q", s.Reveal())
	}
}

func TestEqual(t *testing.T) {
	if !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) || !(secret.String{}).Equal(secret.New("")) {
		t.Error("Equal does not compare the values")
	}
}
