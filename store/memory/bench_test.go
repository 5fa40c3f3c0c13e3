package memory_test

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storebench"
)

func BenchmarkSize(b *testing.B) {
	storebench.Size(b, func(*testing.B) storebench.Engine {
		return storebench.Engine{Store: memory.New(), Bytes: heap, InProcess: true}
	}, counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE)
}

// bare is a Go map behind a lock.
type bare struct {
	mu sync.Mutex
	by map[string][]byte
}

func (m *bare) Read(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.by[id]
	return nil
}

func (m *bare) Insert(_ context.Context, id string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.by[id] = bytes.Clone(value)
	return nil
}

func (m *bare) Update(ctx context.Context, id string, value []byte) error {
	return m.Insert(ctx, id, value)
}

func newBare() *bare { return &bare{by: make(map[string][]byte)} }

// BenchmarkRates runs one node: this store lives in one process.
func BenchmarkRates(b *testing.B) {
	storebench.Rates(b, newBare(), func(*testing.B) store.Store { return memory.New() }, 1)
}

func BenchmarkGrowth(b *testing.B) { storebench.Growth(b, newBare(), memory.New()) }

// heap returns the bytes of the heap that are still reachable.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkSearch(b *testing.B) { storebench.Search(b, memory.New(), true) }
