package password_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/login/password"
)

func TestLoadAtRest(t *testing.T) {
	p, _ := newPasswords(t)
	if _, err := p.Prove(t.Context(), attempt("nobody", good)); err == nil {
		t.Fatal("nobody was let in")
	}
	if got := p.Load(); got.Slots < 1 || got != (password.Load{Slots: got.Slots}) {
		t.Errorf("Load = %+v, want free slots and nobody waiting", got)
	}
}
