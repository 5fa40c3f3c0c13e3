package counterfoil

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/counterfoil/counterfoil/internal/request"
)

// admitted is what the handler gets of a request that was let through: a context with the session,
// and a writer. They are one allocation, as many as the context alone.
type admitted struct {
	session sessionContext
	answer  varying
}

// admit lets next answer r for s.
func (g *Guard) admit(next http.Handler, w http.ResponseWriter, r *http.Request, f *found) {
	a := &admitted{sessionContext{Context: r.Context()}, varying{ResponseWriter: w, vary: &g.vary}}
	f.lazy(&a.session.session)
	next.ServeHTTP(a.answer.like(w), r.WithContext(&a.session))
	a.answer.tell() // an answer without a body is written after this
}

// sessionContext is a context with the session of a request.
type sessionContext struct {
	context.Context
	session lazySession
}

func (c *sessionContext) Value(key any) any {
	if key == (request.SessionKey{}) {
		return c.session.get()
	}
	return c.Context.Value(key)
}

// varying names in Vary what was read to let the request through. It does so when the header is
// written, so that a handler which sets Vary for itself does not take the names away.
type varying struct {
	http.ResponseWriter
	vary *[]string // of the guard
	told bool
}

func (w *varying) tell() {
	if !w.told {
		request.AddVary(w.Header(), *w.vary)
	}
}

// begin is tell for a header that is the last one.
func (w *varying) begin() {
	w.tell()
	w.told = true
}

func (w *varying) WriteHeader(status int) {
	if w.tell(); status >= 200 || status == http.StatusSwitchingProtocols {
		w.told = true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *varying) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// WriteString keeps io.WriteString from copying the text.
func (w *varying) WriteString(s string) (int, error) {
	w.begin()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom lets io.Copy hand a file to the kernel.
func (w *varying) ReadFrom(from io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, from)
}

// FlushError is for http.ResponseController, and so is Unwrap.
func (w *varying) FlushError() error {
	w.tell()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *varying) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// like returns w with those of Flush and Hijack that under has: handlers ask a writer for these
// methods. What else under has is found by Unwrap.
func (w *varying) like(under http.ResponseWriter) http.ResponseWriter {
	_, flushes := under.(http.Flusher)
	_, hijacks := under.(http.Hijacker)
	switch {
	case flushes && hijacks:
		return streaming{flushing{w}}
	case flushes:
		return flushing{w}
	case hijacks:
		return hijacking{w}
	}
	return w
}

type flushing struct{ *varying }

func (w flushing) Flush() { _ = w.FlushError() }

type hijacking struct{ *varying }

func (w hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// streaming has both, as the writers of net/http for HTTP/1.1 do.
type streaming struct{ flushing }

func (w streaming) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return hijacking(w.flushing).Hijack()
}
