package issuer_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// quiet is an issuer that logs nothing.
func quiet(b testing.TB, s store.Store) *issuer.Issuer {
	b.Helper()
	keys, err := keyring.Open(b.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}})
	if err != nil {
		b.Fatal(err)
	}
	trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}})
	if err != nil {
		b.Fatal(err)
	}
	i, err := issuer.New(issuer.Options{Store: s, Keys: keys, URL: "https://auth.test", Audit: trail})
	if err != nil {
		b.Fatal(err)
	}
	return i
}

// onEachStore runs the benchmark on each store, by one caller and by a hundred. prepare makes
// what the n-th call needs, outside the measured time.
func onEachStore[T any](b *testing.B, prepare func(b *testing.B, i *issuer.Issuer, n int) T, call func(i *issuer.Issuer, with T) error) {
	for name, open := range map[string]func(b *testing.B) store.Store{
		"memory": func(*testing.B) store.Store { return memory.New() },
		"sqlite": func(b *testing.B) store.Store {
			s, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "c.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { s.Close() })
			return s
		},
	} {
		for _, callers := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				i := quiet(b, open(b))
				with := make([]T, b.N)
				for n := range with {
					with[n] = prepare(b, i, n)
				}
				var next atomic.Int64
				b.ReportAllocs()
				b.SetParallelism((callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				work := func() error { return call(i, with[next.Add(1)-1]) }
				if callers == 1 {
					for range b.N {
						if err := work(); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := work(); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// proven is a proof for one of a hundred thousand subjects: few of them reach the limit of sessions.
func proven(n int) login.Proof {
	return login.Proof{Subject: fmt.Sprint("usr_", n%100_000), Methods: []string{"pwd"}, At: time.Now(), Roles: []string{"staff"}}
}

func signedIn(b testing.TB, i *issuer.Issuer, n int, c counterfoil.Carrier) *issuer.Issued {
	b.Helper()
	issued, err := i.Login(context.Background(), proven(n), issuer.Request{Carrier: c})
	if err != nil {
		b.Fatal(err)
	}
	return issued
}

// BenchmarkLogin is all of a login but the hashing of the password.
func BenchmarkLogin(b *testing.B) {
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
		b.Run(c.String(), func(b *testing.B) {
			onEachStore(b, func(_ *testing.B, _ *issuer.Issuer, n int) login.Proof { return proven(n) },
				func(i *issuer.Issuer, p login.Proof) error {
					_, err := i.Login(context.Background(), p, issuer.Request{Carrier: c})
					return err
				})
		})
	}
}

func BenchmarkRefresh(b *testing.B) {
	onEachStore(b, func(b *testing.B, i *issuer.Issuer, n int) string {
		return signedIn(b, i, n, counterfoil.CarrierBearer).Refresh.Reveal()
	}, func(i *issuer.Issuer, refresh string) error {
		_, err := i.Refresh(context.Background(), refresh, issuer.Renewal{})
		return err
	})
}

func BenchmarkRevoke(b *testing.B) {
	onEachStore(b, func(b *testing.B, i *issuer.Issuer, n int) string {
		return signedIn(b, i, n, counterfoil.CarrierBearer).Session.ID
	}, func(i *issuer.Issuer, sid string) error {
		_, err := i.Revoke(context.Background(), source.ScopeSession, sid, audit.Act{})
		return err
	})
}

// BenchmarkLookup is a check against the store itself, as introspection makes it.
func BenchmarkLookup(b *testing.B) {
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
		b.Run(c.String(), func(b *testing.B) {
			onEachStore(b, func(b *testing.B, i *issuer.Issuer, n int) string {
				return signedIn(b, i, n, c).Access.Reveal()
			}, func(i *issuer.Issuer, credential string) error {
				_, err := i.Lookup(context.Background(), credential)
				return err
			})
		})
	}
}
