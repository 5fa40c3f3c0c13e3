package memory_test

import (
	"runtime"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storebench"
)

func BenchmarkSize(b *testing.B) {
	storebench.Size(b, func(*testing.B) storebench.Engine {
		return storebench.Engine{Store: memory.New(), Bytes: heap, InProcess: true}
	}, counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE)
}

// heap is what the collector finds alive.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
