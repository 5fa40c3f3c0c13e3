package counterfoil_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
)

// told returns the names in Vary.
func told(h http.Header) (names []string) {
	for name := range strings.SplitSeq(strings.Join(h.Values("Vary"), ","), ",") {
		names = append(names, strings.TrimSpace(name))
	}
	slices.Sort(names)
	return names
}

// A cache gives no answer of one caller to another: what was let through names what was read, as a
// refusal does, however the handler writes, and whatever it names for itself.
func TestAnswersVary(t *testing.T) {
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{})
	defer v.Close()
	access := s.sign(t, "at+jwt", claims())
	vary := func(w http.ResponseWriter, value string) { w.Header().Set("Vary", value) }
	handlers := map[string]struct {
		more  string // names that the handler adds
		serve http.HandlerFunc
	}{
		"nothing":  {"", func(http.ResponseWriter, *http.Request) {}},
		"a text":   {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }},
		"a status": {"", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }},
		"sets":     {"Accept-Encoding", func(w http.ResponseWriter, _ *http.Request) { vary(w, "Accept-Encoding"); fmt.Fprint(w, "hello") }},
		"adds":     {"Accept", func(w http.ResponseWriter, _ *http.Request) { w.Header().Add("Vary", "Accept") }},
		"sets one too": {"Accept", func(w http.ResponseWriter, _ *http.Request) {
			vary(w, "authorization, Accept,counterfoil-min-cursor")
			w.WriteHeader(http.StatusOK)
		}},
		"early hints": {"Accept", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints); vary(w, "Accept") }},
		"a file": {"", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("hello")})
		}},
		"flushes": {"Accept", func(w http.ResponseWriter, _ *http.Request) {
			vary(w, "Accept")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "hello")
		}},
		"a controller": {"Accept", func(w http.ResponseWriter, _ *http.Request) {
			vary(w, "Accept")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}},
		"twice checked": {"", v.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })).ServeHTTP},
	}
	for name, handler := range handlers {
		for transport, want := range map[counterfoil.Transport]string{
			0:                  "Authorization,Cookie,Counterfoil-Min-Cursor,Origin,Sec-Fetch-Site",
			counterfoil.Header: "Authorization,Counterfoil-Min-Cursor",
		} {
			if transport != 0 && name == "twice checked" {
				continue // the other one reads both
			}
			web := httptest.NewServer(v.With(counterfoil.Route{Transport: transport}).Require(handler.serve))
			for _, credential := range []string{access, "made up"} {
				r, err := http.NewRequest("GET", web.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+credential)
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				names := strings.Split(want, ",")
				if credential == access && handler.more != "" {
					names = append(names, handler.more)
					slices.Sort(names)
				}
				got := told(res.Header)
				for n := range got {
					got[n] = http.CanonicalHeaderKey(got[n])
				}
				if slices.Sort(got); (res.StatusCode == http.StatusUnauthorized) != (credential != access) || !slices.Equal(got, names) {
					t.Errorf("%s, transport %v: %d varies by %q, want %q", name, transport, res.StatusCode, got, names)
				}
			}
			web.Close()
		}
	}
	cookie := v.With(counterfoil.Route{Transport: counterfoil.Cookie}).Require(nothing)
	w := httptest.NewRecorder()
	if cookie.ServeHTTP(w, request(counterfoil.CarrierCookie, s.opaque("ses_2"))); w.Code != http.StatusOK || strings.Join(told(w.Header()), ",") != "Cookie,Counterfoil-Min-Cursor,Origin,Sec-Fetch-Site" {
		t.Errorf("a route of cookies = %d, varies by %q", w.Code, told(w.Header()))
	}
}

// The handler's writer has what the server's writer has, and no more: handlers ask it.
func TestWriterOfAHandler(t *testing.T) {
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{})
	defer v.Close()
	bearer := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", claims()))
	type flusher struct {
		http.ResponseWriter
		http.Flusher
	}
	type hijacker struct {
		http.ResponseWriter
		http.Hijacker
	}
	plain, recorder := &discard{http.Header{}}, httptest.NewRecorder()
	for name, under := range map[string]http.ResponseWriter{
		"neither":  plain,
		"flushes":  &flusher{plain, recorder},
		"hijacks":  &hijacker{plain, hijackable{}},
		"has both": &both{plain, recorder, hijackable{}},
	} {
		v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f, flushes := w.(http.Flusher)
			h, hijacks := w.(http.Hijacker)
			_, wantFlush := under.(http.Flusher)
			_, wantHijack := under.(http.Hijacker)
			if flushes != wantFlush || hijacks != wantHijack {
				t.Errorf("%s: the handler's writer flushes: %v, hijacks: %v", name, flushes, hijacks)
			}
			if flushes {
				if f.Flush(); !recorder.Flushed {
					t.Errorf("%s: Flush does not reach the server's writer", name)
				}
				recorder.Flushed = false
			}
			if hijacks {
				if _, _, err := h.Hijack(); err != errHijacked {
					t.Errorf("%s: Hijack = %v", name, err)
				}
			}
			if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); !ok || u.Unwrap() != under {
				t.Errorf("%s: Unwrap does not lead to the server's writer", name)
			}
			ctx, cancel := context.WithCancel(r.Context())
			if session, ok := counterfoil.FromContext(ctx); !ok || session.Subject != "alice" {
				t.Errorf("%s: the session is %v", name, session)
			}
			cancel()
		})).ServeHTTP(under, bearer)
	}
}

type both struct {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
}

var errHijacked = fmt.Errorf("hijacked")

type hijackable struct{}

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errHijacked }

// To let a request through costs two allocations: the copy of the request with a context, which
// net/http makes, and what that context and the writer are.
func TestRequireAllocates(t *testing.T) {
	s := newScripted(t)
	v := follow(t, s, counterfoil.Options{})
	defer v.Close()
	handler, w := v.Require(nothing), discard{http.Header{}}
	r := request(counterfoil.CarrierBearer, s.sign(t, "at+jwt", claims()))
	handler.ServeHTTP(w, r) // first sight
	if n := testing.AllocsPerRun(1000, func() { clear(w.header); handler.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations a request, want 2", n)
	}
}
