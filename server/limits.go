package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/source"
)

// Most bytes of a body (OPS-06). Everybody may send one to a public route. What comes to
// /v1/admin is from administrators, who import users in large bodies.
const (
	maxBody      = 16 << 10
	maxAdminBody = 64 << 10
)

const (
	maxField     = 256 // bytes of a text that maxFields does not name
	maxQuery     = maxBody
	maxName      = 64 // bytes of the name of a parameter or a member
	maxParams    = 32 // of a query or a form: no route has as many
	maxMediaType = 256
)

// maxFields says how many bytes a field may have, by its name, wherever it stands: in a JSON
// object, a form or a query. A handler can rely on it: what a long text costs
// (to normalise, to hash, to look up) is refused before it is spent (LOGIN-04).
var maxFields = map[string]int{
	"identifier":      directory.MaxIdentifier,
	"password":        maxPassword,
	"current":         maxPassword,
	"next":            maxPassword,
	"password_hash":   maxPassword,
	"scope":           1100,    // a client has at most 1000 bytes of scopes
	"token":           8 << 10, // a JWE with all the claims that fit a carrier
	"token_type_hint": 64,
	"cursor":          512, // an id of 200 bytes, and its MAC, in base64
	"after":           512,
	"return_to":       urls.MaxReturnTo,
	"state":           urls.MaxReturnTo, // in a return_to, while a visitor signs in
	"input":           8 << 10,          // of a way of signing in, as the answer
	"answer":          8 << 10,
	"users":           maxAdminBody,

	"text":    8 << 10, // a note of an incident
	"title":   600,
	"why":     1 << 10,
	"message": 1 << 10,

	// Of forms of the console, in which several are typed.
	"origin_lines":   8 << 10,
	"audience_lines": 8 << 10,
	"encryption_jwk": 2 << 10,
	"sids":           1500,
	"found":          1500,
	"kept":           maxKept,
}

// maxPassword is the length in bytes of the longest password that anybody may choose (LOGIN-01).
const maxPassword = 1024

// limited refuses requests that are too long in a part, before do looks at them.
func limited(body int64, do action) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := shortTarget(r.URL); err != nil {
			return err
		}
		if len(r.Header.Get("Content-Type")) > maxMediaType {
			return badRequest("Content-Type is longer than %d bytes", maxMediaType)
		}
		if r.ContentLength > body {
			return errTooLarge
		}
		r.Body = http.MaxBytesReader(w, r.Body, body)
		return do(w, r)
	}
}

var errTooLarge = &source.Problem{Status: http.StatusRequestEntityTooLarge, Type: "too-large", Title: "Body too large"}

// shortTarget refuses a path or a query that is too long in a part.
func shortTarget(u *url.URL) error {
	for part := range strings.SplitSeq(u.Path, "/") {
		if len(part) > maxField {
			return errNotFound // no id is so long
		}
	}
	if u.RawQuery == "" {
		return nil
	}
	if len(u.RawQuery) > maxQuery {
		return badRequest("the query is longer than %d bytes", maxQuery)
	}
	query, err := parameters(u.RawQuery)
	if err != nil {
		return err
	}
	return shortValues(query)
}

// parameters reads a query or a form, if it is not one of thousands of parameters, and none is
// far too long: escapes make a text up to three times as long.
func parameters(text string) (url.Values, error) {
	if strings.Count(text, "&") >= maxParams {
		return nil, badRequest("there are more than %d parameters", maxParams)
	}
	for pair := range strings.SplitSeq(text, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if err := shortName("parameter", name); err != nil {
			return nil, err
		}
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, badRequest("the parameters are malformed")
		}
		if err := shortField("parameter", name, len(value)/3); err != nil {
			return nil, err
		}
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, badRequest("the parameters are malformed")
	}
	return values, nil
}

// shortValues refuses parameters of a form or a query that are too long.
func shortValues(values url.Values) error {
	for name, all := range values {
		for _, value := range all {
			if err := shortField("parameter", name, len(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// shortMember refuses a member of a JSON object that is too long. Lists and objects that
// maxFields does not name are limited by the body alone.
func shortMember(name, value string) error {
	size := len(value)
	if size > 0 && value[0] == '"' {
		// Escapes make a text up to six times as long. No encoder escapes every character, so
		// what is far too long is refused before it is decoded.
		if text := value[1 : size-1]; len(text) <= 3*maxOf(name)+64 {
			size = textLength(text)
		}
	} else if _, named := maxFields[name]; !named {
		return nil
	}
	return shortField("member", name, size)
}

// textLength is the length in bytes of a JSON string without its quotes, which is well-formed.
func textLength(text string) (size int) {
	for n := 0; n < len(text); size++ {
		if text[n] != '\\' {
			n++
			continue
		}
		if text[n+1] != 'u' {
			n += 2
			continue
		}
		code := hexDigit(text[n+2])<<12 | hexDigit(text[n+3])<<8 | hexDigit(text[n+4])<<4 | hexDigit(text[n+5])
		switch {
		case code >= 0xd800 && code < 0xe000: // half of a pair, of four bytes
			size++
		case code >= 0x800:
			size += 2
		case code >= 0x80:
			size++
		}
		n += 6
	}
	return size
}

// hexDigit is the value of a hexadecimal digit.
func hexDigit(digit byte) int {
	if digit <= '9' {
		return int(digit - '0')
	}
	return int(digit|0x20-'a') + 10
}

// shortName refuses a name that no field has: a refusal repeats the name, and is short, too.
func shortName(what, name string) error {
	if len(name) > maxName {
		return badRequest("the name of a %s is longer than %d bytes", what, maxName)
	}
	return nil
}

func shortField(what, name string, size int) error {
	if most := maxOf(name); size > most {
		return badRequest("%s %q is longer than %d bytes", what, name, most)
	}
	return nil
}

func maxOf(name string) int {
	if most, named := maxFields[name]; named {
		return most
	}
	return maxField
}
