package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
)

// call is one request to the API, as a value. The console sends it and prints it as a command from
// the same value, so a page cannot show another call than the one that it makes.
type call struct {
	Method string
	Path   string // escaped
	Query  url.Values
	Body   any // is sent as JSON; nil: there is none

	// DryRun says that it changes nothing, whatever its method: a page that is only opened may make it.
	DryRun bool

	// ByPerson says that it takes the session of an administrator: no API key may make it.
	ByPerson bool
}

// get is the call of a page that reads.
func get(path string, query url.Values) call {
	return call{Method: http.MethodGet, Path: path, Query: query}
}

// at is a path of the API. Each element is escaped, so no id can lead to another route.
func at(elements ...string) string {
	path := "/v1/admin"
	for _, e := range elements {
		path += "/" + url.PathEscape(e)
	}
	return path
}

func (c call) target() string {
	if len(c.Query) == 0 {
		return c.Path
	}
	return c.Path + "?" + c.Query.Encode()
}

func (c call) body() (data []byte, err error) {
	if c.Body != nil {
		data, err = json.Marshal(c.Body)
	}
	return data, err
}

// curl is c as a command for a POSIX shell. The credential is in the environment: it is on no page and in
// no history of a shell.
func (c call) curl(server string) (string, error) {
	data, err := c.body()
	if err != nil {
		return "", err
	}
	command := "curl"
	if c.Method != http.MethodGet {
		command += " -X " + c.Method
	}
	credential := "COUNTERFOIL_API_KEY"
	if c.ByPerson {
		credential = "COUNTERFOIL_ACCESS_TOKEN"
	}
	command += " " + quote(server+c.target()) + " \\\n  -H \"Authorization: Bearer $" + credential + "\""
	if data != nil {
		command += " \\\n  -H 'Content-Type: application/json' \\\n  -d " + quote(string(data))
	}
	return command, nil
}

// quote makes text one word of a POSIX shell: between single quotes nothing has a meaning except the
// quote itself.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// right is what the route of c needs. The table of the routes says it.
func (s *Server) right(c call) rights.Right {
	want := strings.Split(c.Method+" "+c.Path, "/")
	for pattern, route := range s.adminRoutes() {
		parts := strings.Split(pattern, "/")
		if len(parts) == len(want) && matches(parts, want) {
			return route.right
		}
	}
	return ""
}

func matches(pattern, path []string) bool {
	for n, part := range pattern {
		if part != path[n] && part[:1] != "{" {
			return false
		}
	}
	return true
}

// answered keeps an answer of the API.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answered) Header() http.Header { return a.header }

func (a *answered) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answered) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

// read is a call, and where its answer goes.
type read struct {
	call
	into any
}

// sendAll makes calls that read side by side: a page waits for the slowest, not for all in turn. It returns
// the error of the first that failed, in their order.
func (v *visit) sendAll(reads ...read) error {
	errs := make([]error, len(reads))
	var all beside
	for n, r := range reads {
		all.do(func() { errs[n] = v.send(r.call, r.into) })
	}
	all.wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// beside does things side by side. What panics there panics in wait.
type beside struct {
	sync.WaitGroup
	mu       sync.Mutex // guards panicked
	panicked any
}

func (b *beside) do(f func()) {
	b.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.panicked = p
			}
		}()
		f()
	})
}

func (b *beside) wait() {
	if b.Wait(); b.panicked != nil {
		panic(b.panicked)
	}
}

// send makes the call c in this process, with the credential of the visitor. It goes through the same
// routes as a request from outside, so authorization, limits and the audit trail are those of the
// API. An answer other than 2xx is an [*api.Error]. The cookies of any other one are for the browser of the visitor.
func (v *visit) send(c call, into any) error {
	data, err := c.body()
	if err != nil {
		return err
	}
	r := v.asked.Clone(v.asked.Context())
	r.Method, r.RequestURI = c.Method, c.target()
	if r.URL, err = url.Parse(r.RequestURI); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	r.Header = http.Header{
		// Without a body as well: it says that no form of another site sent the request, and the form
		// of the console was checked.
		"Content-Type": {"application/json"},
	}
	for _, name := range []string{"Cookie", "User-Agent", "Origin", "Sec-Fetch-Site"} {
		if values := v.asked.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	if c.DryRun { // it is this page that asks, also when a link led to it
		r.Header["Origin"] = v.s.origins[:1]
		delete(r.Header, "Sec-Fetch-Site")
	}
	r.Body, r.ContentLength, r.Form, r.PostForm = http.NoBody, int64(len(data)), nil, nil
	if data != nil {
		r.Body = io.NopCloser(bytes.NewReader(data))
	}
	a := &answered{header: http.Header{}}
	a.header.Set(requestHeader, v.request) // the audit trail names the request of the page
	v.s.routed.ServeHTTP(a, r)
	if a.status/100 != 2 {
		return api.ReadError(a.status, a.header, a.body.Bytes())
	}
	v.mu.Lock()
	for _, cookie := range a.header["Set-Cookie"] {
		v.w.Header().Add("Set-Cookie", cookie)
	}
	v.mu.Unlock()
	if into == nil || a.body.Len() == 0 {
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), into); err != nil {
		return fmt.Errorf("console: answer to %s %s: %w", c.Method, c.Path, err)
	}
	return nil
}

// problem is err as the API has answered it; nil: it is another error.
func problem(err error) *api.Error {
	p, _ := errors.AsType[*api.Error](err)
	return p
}

// is reports whether e is the problem of that type.
func is(e *api.Error, name string) bool { return e != nil && e.Type == "urn:counterfoil:problem:"+name }
