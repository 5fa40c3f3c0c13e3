package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// bodyless are the calls of the API with POST that take no body. None with DELETE takes one.
var bodyless = []string{
	"POST /v1/logout", "POST /v1/push/{id}", "POST /v1/admin/keys/rotate", "POST /v1/admin/outbox/{id}/redeliver", "POST /v1/admin/monitor/channels/{name}/test",
}

// queries are the parameters that a call of the API which changes something takes: most take none.
var queries = map[string][]string{"POST /v1/push/{id}": {"status", "message"}}

// exact lets a call that changes something take what it is documented to take, and nothing else. Who sends it more relies on
// that: DELETE /v1/admin/users/{id}/sessions?client=shop ended the sessions of every client.
func exact(pattern string, do action) action {
	method, _, _ := strings.Cut(pattern, " ")
	if method == http.MethodGet {
		return do
	}
	empty := method == http.MethodDelete || slices.Contains(bodyless, pattern)
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := knownQuery(r.URL.RawQuery, queries[pattern]); err != nil {
			return err
		}
		if empty && r.ContentLength != 0 {
			if err := noBody(r.Body); err != nil {
				return err
			}
		}
		return do(w, r)
	}
}

// knownQuery refuses parameters that are not known, and those that are given twice.
func knownQuery(raw string, known []string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return badRequest("the query is malformed")
	}
	for name, values := range query {
		switch {
		case len(known) == 0:
			return badRequest("this call takes no parameters in its address")
		case !slices.Contains(known, name):
			return badRequest("parameter %q is not known", name)
		case len(values) > 1:
			return badRequest("parameter %q is given twice", name)
		}
	}
	return nil
}

// noBody refuses a body that says anything. Many programs send an empty object where there is nothing to say.
func noBody(body io.Reader) error {
	data, err := io.ReadAll(body)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return errTooLarge
	case err != nil:
		return badRequest("the body could not be read")
	}
	if data = bytes.TrimSpace(data); len(data) > 0 && string(data) != "{}" {
		return badRequest("this call takes no body")
	}
	return nil
}
