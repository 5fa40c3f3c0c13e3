package issuer_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// BenchmarkManySessions measures a subject that has 10,000 sessions from before there was a
// limit: pages of the list, and the end of all but one.
func BenchmarkManySessions(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) store.Store{
		"memory": func(*testing.B) store.Store { return memory.New() },
		"sqlite": func(b *testing.B) store.Store {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { s.Close() })
			return s
		},
	} {
		for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
			for _, limit := range []int{50, 200} {
				b.Run(fmt.Sprintf("page of %d/%s/%v", limit, name, c), func(b *testing.B) {
					i, own := manySessions(b, open(b), c)
					var took []time.Duration
					for after := ""; b.Loop(); {
						begun := time.Now()
						_, next, err := i.Sessions(b.Context(), own.Session.Subject, after, limit)
						if err != nil {
							b.Fatal(err)
						}
						took, after = append(took, time.Since(begun)), next
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				})
			}
			b.Run(fmt.Sprintf("end all others/%s/%v", name, c), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					i, own := manySessions(b, open(b), c)
					b.StartTimer()
					if _, err := i.EndOthers(b.Context(), own.Session, audit.Act{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// manySessions has a session of usr_0, and 10,000 more that are stored as it is.
func manySessions(b testing.TB, s store.Store, c counterfoil.Carrier) (*issuer.Issuer, *issuer.Issued) {
	b.Helper()
	i := quiet(b, s)
	own := signedIn(b, i, 0, c)
	var real []store.Record
	for _, kind := range []store.Kind{"session", "grant"} {
		for r, err := range s.List(b.Context(), kind, own.Session.Subject, "") {
			if err != nil {
				b.Fatal(err)
			}
			real = append(real, r)
		}
	}
	for n := 0; n < 10_000; {
		var batch store.Batch
		for range 500 {
			var pairs []string
			for _, r := range real {
				pairs = append(pairs, r.ID, fmt.Sprintf("%s%05d", r.ID[:len(r.ID)-5], n*7919%10_000))
			}
			rename := strings.NewReplacer(pairs...)
			for _, r := range real {
				r.ID, r.Value, r.Rev = rename.Replace(r.ID), []byte(rename.Replace(string(r.Value))), 0
				batch.Put = append(batch.Put, r)
			}
			n++
		}
		if _, err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return i, own
}
