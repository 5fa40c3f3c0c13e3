package tunnel

import "sync"

// buffer is what a direction reads into. Most WebSockets wait, and there may be ten thousand, so a
// buffer is small until a read fills it, and small again after one that does not.
type buffer struct {
	small [512]byte
	large *[]byte // nil: small is in use
	size  int     // 0: small is in use, else large is of sizes[size-1]
}

var sizes = [...]*sync.Pool{pool(4 << 10), pool(32 << 10)}

func pool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { p := make([]byte, size); return &p }}
}

func (b *buffer) bytes() []byte {
	if b.large == nil {
		return b.small[:]
	}
	return *b.large
}

// fit makes b fit for the next read, after one of n bytes.
func (b *buffer) fit(n int) {
	switch {
	case n < len(b.bytes()):
		b.free()
	case b.size < len(sizes):
		size := b.size + 1
		b.free()
		b.size, b.large = size, sizes[size-1].Get().(*[]byte)
	}
}

func (b *buffer) free() {
	if b.large != nil {
		sizes[b.size-1].Put(b.large)
		b.large, b.size = nil, 0
	}
}
