package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is an answer that is not 2xx: a problem of the server (RFC 9457), or a page that a proxy
// answered instead.
type Error struct {
	Status int    `json:"-"`    // of the answer; the member of the problem is ignored
	Type   string `json:"type"` // urn:counterfoil:problem:NAME; a title is for people
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"` // the member of the body that is wrong; empty: the answer does not say

	MaxAge *int64 `json:"max_age"` // of the problem step-up: how old the login may be, in seconds; nil: any age

	RetryAfter time.Duration `json:"-"` // after which to try again; zero: the answer does not say
}

// ReadError reads an answer that is not 2xx.
func ReadError(status int, header http.Header, answer []byte) *Error {
	e := new(Error)
	if json.Unmarshal(answer, e) != nil || e.Title == "" {
		e = &Error{Title: "Status " + strings.TrimSpace(strconv.Itoa(status)+" "+http.StatusText(status))}
	}
	e.Status = status
	if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// Error returns title and detail, as part of a sentence.
func (e *Error) Error() string {
	text := e.Title
	if word, _, _ := strings.Cut(text, " "); len(word) < 2 || word != strings.ToUpper(word) { // "API key" stays as it is
		text = strings.ToLower(text[:1]) + text[1:]
	}
	if e.Detail != "" {
		text += ": " + strings.TrimSuffix(e.Detail, ".")
	}
	return text
}
