package extauthz

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/envoyauth"
)

// visitor returns the request of a visitor as Envoy would send it on over HTTP: method, host and
// path as they stand in the question, and its headers. Scheme is not read: a visitor with HTTP/2
// chooses it, and the proxy says in X-Forwarded-Proto what holds. A question that cannot be read,
// or that is not about HTTP, becomes a request without that header, which is refused.
func visitor(ctx context.Context, q *question, peer string) *http.Request {
	about := q.GetAttributes().GetRequest().GetHttp()
	if q.err != nil {
		about = nil
	}
	r := &http.Request{
		Method: about.GetMethod(), Host: about.GetHost(), RequestURI: about.GetPath(), URL: &url.URL{}, Header: http.Header{},
		Proto: "HTTP/2.0", ProtoMajor: 2, Body: http.NoBody, RemoteAddr: peer,
	}
	for name, value := range about.GetHeaders() {
		add(r.Header, name, value)
	}
	for _, line := range about.GetHeaderMap().GetHeaders() {
		value := line.GetValue()
		if raw := line.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		add(r.Header, line.GetKey(), value)
	}
	if hosts, other := r.Header["Host"], about.GetHost(); slices.ContainsFunc(hosts, func(host string) bool { return host != other }) {
		r.Host = "" // two of them, so none: it is refused (GW-19)
	}
	delete(r.Header, "Host") // net/http has it elsewhere
	return r.WithContext(ctx)
}

// add adds a header of a question. Those with a colon are what HTTP/2 has for the request line.
func add(h http.Header, name, value string) {
	if !strings.HasPrefix(name, ":") {
		h.Add(name, value)
	}
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func record(h http.Handler, r *http.Request) *recorder {
	w := &recorder{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// allowed says that the request may pass, with the headers that name the caller in the place of
// the visitor's, and without those that the service does not get.
func allowed(a *recorder) *envoyauth.CheckResponse {
	var gone []string
	for _, list := range a.header[gateway.RemoveHeader] {
		gone = append(gone, strings.Split(list, ", ")...)
	}
	return &envoyauth.CheckResponse{Status: &envoyauth.Status{}, HttpResponse: &envoyauth.CheckResponse_OkResponse{
		OkResponse: &envoyauth.OkHttpResponse{Headers: headers(a.header, "Cache-Control", gateway.RemoveHeader), HeadersToRemove: gone},
	}}
}

const permissionDenied = 7 // of gRPC; what the visitor gets stands elsewhere

// denied says what the visitor gets instead. It never is an ErrorResponse, after which Envoy may
// let the request pass.
func denied(a *recorder) *envoyauth.CheckResponse {
	return &envoyauth.CheckResponse{Status: &envoyauth.Status{Code: permissionDenied}, HttpResponse: &envoyauth.CheckResponse_DeniedResponse{
		DeniedResponse: &envoyauth.DeniedHttpResponse{
			Status: &envoyauth.HttpStatus{Code: envoyauth.StatusCode(a.status)}, Headers: headers(a.header), Body: a.body.String(),
		},
	}}
}

// headers returns those of an answer, without the names in but and those that Envoy writes itself.
// The first of a name takes the place of all that are there (GW-03).
func headers(h http.Header, but ...string) (all []*envoyauth.HeaderValueOption) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name == "Content-Length" || name == "Connection" || slices.Contains(but, name) {
			continue
		}
		action := envoyauth.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		for _, value := range h[name] {
			all = append(all, &envoyauth.HeaderValueOption{
				Header: &envoyauth.HeaderValue{Key: strings.ToLower(name), Value: value}, AppendAction: action,
			})
			action = envoyauth.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		}
	}
	return all
}
