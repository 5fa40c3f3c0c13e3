package prove

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// inProcess sends requests to a handler in this process, without a network. It streams
// answers, as a connection does. running returns nil while nothing listens.
type inProcess struct{ running func() *serving }

// serving is a handler while its process runs: every request ends with the process.
type serving struct {
	handler http.Handler
	ctx     context.Context // ends with the process
	end     context.CancelFunc

	mu    sync.RWMutex // locked for writing when the process ends: no call begins afterwards
	calls sync.WaitGroup
}

func serveInProcess(h http.Handler) *serving {
	ctx, end := context.WithCancel(context.Background())
	return &serving{handler: h, ctx: ctx, end: end}
}

// stop ends every request, and waits for its handler.
func (s *serving) stop() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.calls.Wait()
}

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	s := t.running()
	if s == nil {
		return nil, errDown
	}
	a, body := s.begin(r)
	if a == nil {
		return nil, errDown
	}
	select {
	case <-a.begun:
	case <-r.Context().Done():
		_ = body.Close()
		return nil, r.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, Body: body, ContentLength: -1, Request: r,
	}, nil
}

// begin calls the handler in a goroutine. It returns nil if the process has ended.
func (s *serving) begin(r *http.Request) (*streamed, io.ReadCloser) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ctx.Err() != nil {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	body, out := io.Pipe()
	unlink := context.AfterFunc(s.ctx, func() {
		cancel()
		_ = out.CloseWithError(errDown)
	})
	in := r.Clone(ctx)
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "127.0.0.1:1", r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	a := &streamed{header: make(http.Header), out: out, begun: make(chan struct{})}
	s.calls.Go(func() {
		defer cancel()
		defer unlink()
		s.handler.ServeHTTP(a, in)
		a.WriteHeader(http.StatusOK)
		_ = out.Close()
	})
	return a, cancelled{body, cancel}
}

// cancelled is a body that ends its request when it is closed.
type cancelled struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (c cancelled) Close() error {
	c.cancel()
	return c.PipeReader.Close()
}

// streamed is the answer of a handler, as the handler writes it.
type streamed struct {
	header http.Header
	out    *io.PipeWriter
	begun  chan struct{} // closed when status and sent are set

	status int
	sent   http.Header
}

func (a *streamed) Header() http.Header { return a.header }

func (a *streamed) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	}
}

func (a *streamed) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.out.Write(p)
}

// FlushError makes [http.ResponseController] content: what is written is sent at once.
func (a *streamed) FlushError() error {
	a.WriteHeader(http.StatusOK)
	return nil
}
