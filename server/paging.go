package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

const (
	defaultPage = 50
	maxPage     = 200
)

// pageOf is what a listing was asked for.
type pageOf struct {
	after  string // id of the last entry of the page before; empty: from the top
	limit  int
	sized  bool // limit was asked for
	filter url.Values
}

// readPage reads limit and cursor, and the filters that a listing has. Parameters that
// it has not, and those that are given twice, are refused. One that is empty counts as absent,
// whichever it is: a form sends each of its fields.
func (s *Server) readPage(r *http.Request, filters ...string) (p pageOf, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return p, badRequest("the query is malformed")
	}
	p = pageOf{limit: defaultPage, filter: url.Values{}}
	for name, values := range query {
		if len(values) != 1 {
			return p, badRequest("parameter %q is given twice", name)
		}
		if !slices.Contains(filters, name) && name != "limit" && name != "cursor" {
			return p, badRequest("parameter %q is not known", name)
		}
		if values[0] != "" && slices.Contains(filters, name) {
			p.filter.Set(name, values[0])
		}
	}
	if text := query.Get("limit"); text != "" {
		p.sized = true
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPage {
			return p, badRequest("limit is a number from 1 to %d", maxPage)
		}
	}
	if text := query.Get("cursor"); text != "" {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) <= macSize {
			return p, badRequest("cursor is not one that this listing gave")
		}
		p.after = string(raw[macSize:])
		if !hmac.Equal(raw[:macSize], s.cursorMAC(r.URL.Path, p)) {
			return p, badRequest("cursor is not one that this listing gave")
		}
	}
	return p, nil
}

// whole answers a list that has no pages and no filters. A caller of it who names a parameter relies on one that is not there.
func whole(do adminAction) adminAction {
	return func(w http.ResponseWriter, r *http.Request, who caller) error {
		if r.URL.RawQuery != "" {
			return badRequest("this list is whole, and takes no parameters")
		}
		return do(w, r, who)
	}
}

const macSize = 16

// cursorMAC binds a position to the listing and the filter that it is of: a cursor is
// not a way to name records that one was not shown (KEY-13).
func (s *Server) cursorMAC(path string, p pageOf) []byte {
	m := hmac.New(sha256.New, s.cursorKey)
	for _, part := range []string{path, p.filter.Encode(), p.after} {
		m.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return m.Sum(nil)[:macSize]
}

// next is the cursor, for the listing at path, of what follows last; empty if last is.
func (s *Server) next(path string, p pageOf, last string) string {
	if last == "" {
		return ""
	}
	p.after = last
	return base64.RawURLEncoding.EncodeToString(append(s.cursorMAC(path, p), last...))
}
