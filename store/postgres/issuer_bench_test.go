package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// newIssuer is a whole issuer on s.
func newIssuer(tb testing.TB, s store.Store) *issuer.Issuer {
	tb.Helper()
	keys, err := keyring.Open(tb.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}})
	if err != nil {
		tb.Fatal(err)
	}
	quiet, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}})
	if err != nil {
		tb.Fatal(err)
	}
	i, err := issuer.New(tb.Context(), issuer.Options{Store: s, Keys: keys, URL: "https://auth.test", Audit: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

// BenchmarkRefresh turns refresh tokens through the issuer: everything is checked
// and a JWT is signed. Raw updates one row at its revision.
func BenchmarkRefresh(b *testing.B) {
	s, raw := engines(b)
	fill(b, s, raw)
	i := newIssuer(b, s)
	const sessions = 256
	tokens := make(chan string, sessions) // each is somebody's, and used once
	var wg sync.WaitGroup
	for n := range sessions {
		wg.Go(func() {
			got, err := i.Login(b.Context(), login.Proof{Subject: fmt.Sprintf("usr_%d", n), Methods: []string{"pwd"}, At: time.Now()},
				issuer.Request{Carrier: counterfoil.CarrierBearer})
			if err != nil {
				b.Error(err)
				return
			}
			tokens <- got.Refresh.Reveal()
		})
	}
	wg.Wait()
	callers(b, func(b *testing.B, callers int) {
		compare(b, callers, func(ctx context.Context, n int64) error {
			_, err := raw.Exec(ctx, `UPDATE raw SET rev = rev + 1, value = $2 WHERE id = $1`, sessionID(n*7919%rows), value)
			return err
		}, func(ctx context.Context, n int64) error {
			got, err := i.Refresh(ctx, <-tokens, issuer.Renewal{})
			if err == nil {
				tokens <- got.Refresh.Reveal()
			}
			return err
		})
	})
}
