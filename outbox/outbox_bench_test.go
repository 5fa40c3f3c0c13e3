package outbox_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// BenchmarkOne is one item through the outbox, from its commit to its delivery, while 100,000 others wait
// in a lane that cannot be reached.
func BenchmarkOne(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "test.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	o := open(b, s)
	for range 100 {
		var batch store.Batch
		for n := range 1000 {
			rec, err := o.Record(outbox.Draft{Kind: "mail", Payload: fmt.Append(nil, n)})
			if err != nil {
				b.Fatal(err)
			}
			batch.Put = append(batch.Put, rec)
		}
		if _, err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	came := make(chan struct{}, 1)
	o.Handle("mail", func(context.Context, outbox.Item) error {
		return &outbox.Failure{Reason: "connect: nobody listens there", Unreachable: true, After: time.Hour}
	})
	o.Handle("alert", func(context.Context, outbox.Item) error { came <- struct{}{}; return nil })
	start(b, o)
	for b.Loop() {
		put(b, s, o, outbox.Draft{Kind: "alert"})
		<-came
	}
}
