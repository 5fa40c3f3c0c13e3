package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/rows"
	"github.com/counterfoil/counterfoil/source"
)

// maxExports is how many requests may read a whole listing, or the whole audit trail, at a time on
// this node. Each has one page in memory, and reads from the store without a pause.
const (
	maxExports     = 4
	exportsForEach = 2 // of one caller
)

// maxPlans is how many revocations by filter are counted or begun at a time on this node. Who may do that
// may do everything, so there is no smaller number for each.
const maxPlans = 4

// exportWrite is how long a client may take for one page of an export. It must read on, or its
// export ends and makes room for another.
const exportWrite = 30 * time.Second

// slots lets a number of requests in at a time, and fewer of them for one caller: nobody takes all.
type slots struct {
	all, each int

	mu    sync.Mutex     // guards the rest
	taken map[string]int // by caller
	sum   int
}

func newSlots(all, each int) *slots { return &slots{all: all, each: each, taken: map[string]int{}} }

// begin takes a slot for who, until end is called. A person is one caller with all sessions, and so is a
// program with all API keys of its client: to have more of them gives no more slots.
func (s *slots) begin(who caller) (end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := &source.Problem{Status: http.StatusTooManyRequests, Type: "too-many-streams", Title: "Too many exports or streams at a time", RetryAfter: 10 * time.Second}
	switch {
	case s.sum == s.all:
		return nil, full
	case s.taken[who.by] == s.each:
		full.Detail = fmt.Sprintf("You have %d of this kind, which is as many as one caller gets at a time.", s.each)
		return nil, full
	}
	s.sum++
	s.taken[who.by]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sum--
		if s.taken[who.by]--; s.taken[who.by] == 0 {
			delete(s.taken, who.by)
		}
	}, nil
}

// export answers with all that a listing has, in the format that page asks for. more writes the
// rows of the next page, and reports whether there is one after it. Each page is read whole
// before it is written: a client that reads slowly holds nothing of the store. Who asks must be
// allowed to for as long as it lasts. The audit trail has who took what out of the house, before the
// first row goes.
//
// An answer that has begun cannot say that it failed. So the connection is cut, and no client
// takes a part for the whole.
func (s *Server) export(w http.ResponseWriter, r *http.Request, who caller, page pageOf, name string, columns []string, more func(context.Context, *rows.Writer) (bool, error)) error {
	format := page.filter.Get("format")
	if !slices.Contains(rows.Formats(), format) {
		return badRequest("format is csv or jsonl")
	}
	if page.after != "" || page.sized || page.filter.Has("count") {
		return badRequest("with format there are no pages: leave out limit, cursor and count")
	}
	end, err := s.exports.begin(who)
	if err != nil {
		return err
	}
	defer end()
	taken := act(w, r, who.by, "").Entry(audit.Export, "")
	taken.Target, taken.Detail = name, page.filter.Encode()
	if err := s.issuer.Audit().Keep(r.Context(), taken); err != nil {
		return err
	}
	out := &exportAnswer{w: w, media: rows.Media(format), file: name + "-" + s.now().UTC().Format("20060102T150405Z") + "." + format}
	table, err := rows.New(&out.page, format, columns...)
	for next := true; next && err == nil; {
		if next, err = more(r.Context(), table); err == nil {
			err = table.Flush()
		}
		if err == nil {
			err = out.send()
		}
		if err == nil && next {
			err = who.still()
		}
	}
	if err != nil && out.begun {
		if r.Context().Err() == nil && !errors.Is(err, errGone) {
			s.log.LogAttrs(r.Context(), levelFor(http.StatusServiceUnavailable), "export ended early", attrs(r, w.Header().Get(requestHeader), http.StatusOK, err)...)
		}
		panic(http.ErrAbortHandler)
	}
	return err
}

// exportAnswer is the answer that an export writes, page by page.
type exportAnswer struct {
	w           http.ResponseWriter
	page        bytes.Buffer // rows that are not sent yet
	media, file string
	begun       bool
}

var errGone = errors.New("the client does not read on")

// send writes the page.
func (a *exportAnswer) send() error {
	out := http.NewResponseController(a.w)
	_ = out.SetWriteDeadline(time.Now().Add(exportWrite)) // an answer in memory has none
	if !a.begun {
		a.begun = true
		a.w.Header().Set("Content-Type", a.media)
		a.w.Header().Set("Content-Disposition", `attachment; filename="`+a.file+`"`)
		a.w.WriteHeader(http.StatusOK)
	}
	if _, err := a.page.WriteTo(a.w); err != nil {
		return errGone
	}
	_ = out.Flush()
	return nil
}
