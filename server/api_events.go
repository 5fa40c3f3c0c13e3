package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

const (
	maxStreams     = 16               // streams of events at a time on this node
	streamsForEach = 4                // of one caller: a person, or the API keys of one client
	streamBeat     = 5 * time.Second  // a comment is sent so often, and who reads is asked for again
	streamFor      = 10 * time.Minute // then the client connects again
	streamWrite    = 10 * time.Second // how long a client may take for one event
	streamWait     = 10 * time.Second // of a question about the log
)

// adminLogEvents streams the revocation log as server-sent events: each entry with who made it,
// and when the verifiers have it. It goes on after Last-Event-ID, or begins now.
//
// It ends when the caller may not read it any more, which is looked at before each event and at
// each beat.
func (s *Server) adminLogEvents(w http.ResponseWriter, r *http.Request, who caller) error {
	after, resumes, err := readLastEvent(r)
	if err != nil {
		return err
	}
	end, err := s.streams.begin(who)
	if err != nil {
		return err
	}
	defer end()
	head, err := s.issuer.Head(r.Context())
	if err != nil {
		return err
	}
	if !resumes || after.Epoch == head.Epoch && head.Before(after) { // nothing is known beyond the head
		after = head
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamFor)
	defer cancel()
	e := &eventStream{
		server: s, out: http.NewResponseController(w), w: w, who: who, at: after,
		pages: make(chan source.Page), heard: make(chan api.LogConfirmed, 1),
	}
	_ = e.out.SetReadDeadline(time.Time{}) // the request is read, and what is left of it is when it ends
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	verifiers, bound := s.issuer.Feed().Following()
	if err := e.send("hello", after, api.LogHello{Head: head, Verifiers: verifiers, BoundMS: bound.Milliseconds()}); err != nil {
		return nil
	}
	go e.read(ctx)
	e.run(ctx)
	return nil
}

// readLastEvent returns where a client was that connects again. Browsers send the header; others
// may use the parameter.
func readLastEvent(r *http.Request) (at counterfoil.Cursor, resumes bool, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return at, false, badRequest("the query is malformed")
	}
	for name, values := range query {
		if name != "after" || len(values) != 1 {
			return at, false, badRequest("the only parameter is after, once")
		}
	}
	text := cmp.Or(r.Header.Get("Last-Event-ID"), query.Get("after")) // the header: a connection after the first
	if text == "" {
		return at, false, nil
	}
	if at, err = source.ParseCursor(text); err != nil {
		return at, false, badRequest("Last-Event-ID, or after, is not the id of an event")
	}
	return at, true, nil
}

// eventStream is one answer of server-sent events.
type eventStream struct {
	server *Server
	out    *http.ResponseController
	w      http.ResponseWriter
	who    caller
	at     counterfoil.Cursor // up to which entries were sent

	pages chan source.Page
	heard chan api.LogConfirmed
	waits bool               // for heard
	last  counterfoil.Cursor // of the last entry that was sent
}

// read follows the log until ctx ends, or the log cannot be read: then it closes pages.
func (e *eventStream) read(ctx context.Context) {
	defer close(e.pages)
	for at := e.at; ; {
		page, err := e.server.issuer.Log(ctx, source.Follow{After: at, Wait: streamWait})
		if err != nil {
			return
		}
		at = page.Upto
		select {
		case <-e.server.issuer.Feed().Stopped():
			return
		case <-ctx.Done():
			return
		case e.pages <- page:
		}
	}
}

// run sends events until the stream ends.
func (e *eventStream) run(ctx context.Context) {
	beat := time.NewTicker(e.server.beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case page, reads := <-e.pages:
			if !reads || e.who.still() != nil || e.entries(ctx, page) != nil {
				return
			}
		case confirmed := <-e.heard:
			e.waits = false
			if e.who.still() != nil || e.send("confirmed", e.at, confirmed) != nil {
				return
			}
			e.wait(ctx)
		case <-beat.C:
			if e.who.still() != nil || e.write(": beat\n\n") != nil {
				return
			}
		}
	}
}

// entries sends the entries of a page.
func (e *eventStream) entries(ctx context.Context, page source.Page) error {
	authors := make([]audit.Entry, len(page.Entries))
	if e.who.actor.May(rights.Audit) {
		var err error
		if authors, err = e.server.issuer.Authors(ctx, page.Entries); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil { // an entry is told all the same
			authors = make([]audit.Entry, len(page.Entries))
		}
	}
	called, err := e.server.called(ctx, named(authors)...)
	if ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil { // an entry is told by ids
		called = api.Named{}
	}
	for n, entry := range page.Entries {
		event := api.LogEvent{Cursor: entry.At, Scope: entry.Scope, ID: entry.ID, Reason: entry.Reason}
		if authors[n].ID != "" {
			event.Author, event.Named = &authors[n], called.Of(named(authors[n:n+1])...)
		}
		if err := e.send("revocation", entry.At, event); err != nil {
			return err
		}
		e.last = entry.At
	}
	e.at = page.Upto
	e.wait(ctx)
	return nil
}

// wait waits, beside the stream, until the verifiers have all that was sent. One waits at a time.
func (e *eventStream) wait(ctx context.Context) {
	if e.waits || e.last == (counterfoil.Cursor{}) {
		return
	}
	at, begun := e.last, time.Now()
	e.waits, e.last = true, counterfoil.Cursor{}
	go func() {
		heard, everywhere, err := e.server.issuer.Feed().Heard(ctx, at)
		if err == nil && heard {
			verifiers, bound := e.server.issuer.Feed().Following()
			e.heard <- api.LogConfirmed{Cursor: at, AfterMS: time.Since(begun).Milliseconds(), Verifiers: verifiers, Everywhere: everywhere, BoundMS: bound.Milliseconds()}
		}
	}()
}

// send writes an event. A client that connects again names its id.
func (e *eventStream) send(kind string, id counterfoil.Cursor, v any) error {
	data, err := json.Marshal(v) // one line
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: %s\nid: %s\ndata: %s\n\n", kind, id, data))
}

func (e *eventStream) write(text string) error {
	_ = e.out.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.out.Flush()
}
