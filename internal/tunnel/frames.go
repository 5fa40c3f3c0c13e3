package tunnel

import (
	"encoding/binary"
	"math"
)

// frames follows one direction of a WebSocket, to know where a frame ends (RFC 6455 section 5.2). A
// control frame may stand between the fragments of a message, but never inside a frame. Payloads are
// not looked at, so extensions such as compression do not matter.
type frames struct {
	head    [14]byte // of the frame under way: at most 2 bytes, 8 of length and 4 of mask
	have    int      // bytes of head that are there; 0: between two frames
	payload bool     // head is whole
	left    uint64   // bytes of the payload that are to come
	closing bool     // a close frame has begun: no frame follows it (section 5.5.1)
}

const opClose = 8

// between reports whether the last frame has ended, and no other has begun.
func (f *frames) between() bool { return f.have == 0 }

// follow takes in the next bytes.
func (f *frames) follow(p []byte) {
	for len(p) > 0 {
		p = p[f.take(p):]
	}
}

// rest takes in no more of p than completes the frame under way, and returns that.
func (f *frames) rest(p []byte) []byte {
	if f.between() {
		return nil
	}
	return p[:f.take(p)]
}

// take takes in bytes to the end of the frame, and returns how many. There is one at least.
func (f *frames) take(p []byte) (n int) {
	for n < len(p) {
		if f.payload {
			some := min(uint64(len(p)-n), f.left)
			f.left -= some
			n += int(some)
		} else {
			f.head[f.have] = p[n]
			f.have++
			n++
			if f.have < f.headSize() {
				continue
			}
			f.payload, f.left = true, f.length()
			f.closing = f.closing || f.head[0]&0xf == opClose
		}
		if f.left == 0 {
			f.have, f.payload = 0, false
			return n
		}
	}
	return n
}

// headSize is how long the head is, as far as its bytes tell.
func (f *frames) headSize() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4 // the mask
	}
	return size
}

// length is that of the payload. One that RFC 6455 does not allow never ends.
func (f *frames) length() uint64 {
	switch short := f.head[1] & 0x7f; short {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		length := binary.BigEndian.Uint64(f.head[2:])
		if length > math.MaxInt64 {
			return math.MaxUint64
		}
		return length
	default:
		return uint64(short)
	}
}

// closeFrame is a close frame of a server, which masks nothing. A reason has at most 123 bytes.
func closeFrame(code uint16, reason string) []byte {
	frame := []byte{0x80 | opClose, byte(2 + len(reason))}
	frame = binary.BigEndian.AppendUint16(frame, code)
	return append(frame, reason...)
}
