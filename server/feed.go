package server

import (
	"net/http"
	"net/url"
	"time"

	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// feed is a page of the revocation log. An error is an error: a page that was not
// read from the store would be a false proof of freshness.
func (s *Server) feed(w http.ResponseWriter, r *http.Request) error {
	key, err := s.followerKey(r)
	if err != nil {
		return err
	}
	follow, err := readFollow(r.URL.Query())
	if err != nil {
		return err
	}
	follow.Key = key.ID
	follow.Program = source.Program{Client: key.Client, Address: address(r), Agent: agent(r)}
	w.Header().Add("Vary", "Accept")
	if follow.Wait > 0 && request.Accepts(r, jsonSequence, "application/json") {
		return s.feedPages(w, r, follow)
	}
	page, err := s.issuer.Feed().JSON(r.Context(), follow)
	if err != nil {
		return store.Outage(err)
	}
	writeBody(w, http.StatusOK, page)
	return nil
}

// jsonSequence is the media type of pages one after the other: RFC 7464. The server before this
// one did not know of that, and answers one page as ever.
const jsonSequence = "application/json-seq"

// feedPages is feed for a verifier that takes each page as soon as it is there.
func (s *Server) feedPages(w http.ResponseWriter, r *http.Request, follow source.Follow) error {
	out, begun := http.NewResponseController(w), false
	head := func() {
		begun = true
		w.Header().Set("Content-Type", jsonSequence)
		w.Header().Set("X-Accel-Buffering", "no") // nginx would hold news back until the end
		w.WriteHeader(http.StatusOK)
	}
	begin := func() error {
		head()
		return out.Flush()
	}
	err := s.issuer.Feed().Pages(r.Context(), follow, begin, func(record []byte, last bool) error {
		if !begun {
			head()
		}
		_, err := w.Write(record)
		if err == nil && !last {
			err = out.Flush()
		}
		return err
	})
	if begun {
		return nil // the head cannot be taken back: see revlog.Feed.Pages
	}
	return store.Outage(err)
}

func readFollow(q url.Values) (f source.Follow, err error) {
	for name, values := range q {
		if len(values) != 1 {
			return f, badRequest("parameter %q is given twice", name)
		}
		value := values[0]
		switch name {
		case "after":
			if value != "" {
				f.After, err = source.ParseCursor(value)
			}
		case "proof":
			f.Proof = value
		case "wait":
			f.Wait, err = time.ParseDuration(value)
		case "verifier":
			f.Verifier = value
		case "bound":
			f.Bound, err = time.ParseDuration(value)
		case "serve_stale":
			f.ServeStale = true // wait=all does not wait for it: no other word may be taken for a yes or a no
			if value != "true" && value != "1" {
				return f, badRequest("parameter \"serve_stale\" is 1 or true, or left out")
			}
		default:
			return f, badRequest("parameter %q is not known", name)
		}
		if err != nil || f.Wait < 0 || f.Bound < 0 {
			return f, badRequest("parameter %q is malformed", name)
		}
	}
	if f.Verifier != "" && f.Bound == 0 {
		return f, badRequest("parameter \"bound\" is required with \"verifier\"")
	}
	return f, nil
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready reads the head of the log: without the store nothing here can be answered. It
// reads no more than that, since anybody may ask. A node whose clock is wrong is not ready
// either, and says why: it issues nothing (OPS-15).
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.issuer.Head(r.Context()); err != nil {
		return store.Outage(err)
	}
	if wrong := s.time.Status().Wrong; wrong != "" {
		return &source.Problem{Status: http.StatusServiceUnavailable, Type: "clock", Title: "The clocks do not agree", Detail: wrong, RetryAfter: time.Second}
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
