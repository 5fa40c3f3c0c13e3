package ops

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// unsentTime is how long an answer waits for the rest of a body that nobody wants.
	unsentTime = 5 * time.Second

	// unsentSize is how much of it is read, so that the connection can be used for the next request. It is what
	// net/http reads.
	unsentSize = 256 << 10
)

// body is that of a request of HTTP/1.x to a server whose requests may take any time.
//
// Before net/http sends an answer, and after that, it reads what is left of the body. It waits for a client that
// announces a body and does not send it, without an end: anybody could hold connections with
// requests that are refused (OPS-06). So the rest is read here.
type body struct {
	io.ReadCloser
	continues bool // to read it may send 100 to the client
	whole     atomic.Bool
}

// followBody returns r with a body that is followed. A request of HTTP/2 needs nothing of that, because the answer
// ends its stream.
func followBody(r *http.Request) (*http.Request, *body) {
	if r.ProtoMajor != 1 || r.ContentLength == 0 {
		return r, nil
	}
	b := &body{ReadCloser: r.Body, continues: r.Header["Expect"] != nil}
	r = r.WithContext(r.Context()) // a copy: the request is the server's
	r.Body = b
	return r, b
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.whole.Store(true)
	}
	return n, err
}

// end reads what is left of b, before w says the status of the answer. If the client does not send it in
// time, the deadline stays, so that net/http waits for no more of it, and closes the connection.
func (b *body) end(w http.ResponseWriter) {
	if b == nil || b.whole.Load() {
		return // a deadline would end what net/http reads now: it takes that for the end of the client
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(unsentTime)) == nil && !b.continues {
		if _, err := io.CopyN(io.Discard, b, unsentSize); errors.Is(err, io.EOF) {
			_ = c.SetReadDeadline(time.Time{})
			return
		}
	}
	w.Header().Set("Connection", "close")
}
