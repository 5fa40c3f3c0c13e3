package request

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Credentials returns the parts of a field Authorization: the scheme, whose case has no meaning,
// and what stands after one or more spaces (RFC 9110 sections 11.1 and 11.4).
func Credentials(field string) (scheme, rest string) {
	scheme, rest, _ = strings.Cut(strings.Trim(field, " \t"), " ")
	return scheme, strings.TrimLeft(rest, " ")
}

// Authorized returns the one field Authorization of r; empty: there is none. An empty field is
// none, and two are ErrMultipleCredentials (TOK-34).
func Authorized(r *http.Request) (field string, err error) {
	for _, f := range r.Header["Authorization"] {
		switch {
		case f == "":
		case field != "":
			return "", refusal.ErrMultipleCredentials
		default:
			field = f
		}
	}
	return field, nil
}

// inHeader returns the last credential in Authorization, and how many there are. An empty
// field is none.
func inHeader(r *http.Request) (value string, n int, err error) {
	for _, field := range r.Header["Authorization"] {
		scheme, rest := Credentials(field)
		if scheme == "" {
			continue
		}
		if !strings.EqualFold(scheme, "Bearer") || rest == "" {
			return "", 0, refusal.ErrInvalidToken
		}
		value = rest
		n++
	}
	return value, n, nil
}

// Basic returns the client and the secret of a field Authorization of the scheme Basic. Both
// are form-encoded (RFC 6749 section 2.3.1). Some clients do not encode them, so a part that is
// no form encoding of printable text is read as it stands. A secret of ours has neither "%", "+"
// nor a colon, so it is the same both ways, and begins after the last colon.
func Basic(rest string) (client, secret string, ok bool) {
	plain, err := base64.StdEncoding.DecodeString(rest)
	colon := strings.LastIndexByte(string(plain), ':')
	if err != nil || colon < 0 {
		return "", "", false
	}
	return formDecoded(string(plain[:colon])), formDecoded(string(plain[colon+1:])), true
}

func formDecoded(text string) string {
	decoded, err := url.QueryUnescape(text)
	if err != nil || strings.ContainsFunc(decoded, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return text
	}
	return decoded
}
