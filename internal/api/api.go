// Package api has the JSON of the HTTP API, each body and answer once, and a client of it.
// The handlers of package server and the callers (commands, the demo, package prove) use the
// same types, so that neither can spell a member in its own way. Call the methods of [Client].
//
// The names and routes are described by server/openapi.json, which a test compares with the
// handlers. The JSON of the revocation log, of introspection and of problems is in package
// source. The package decides nothing: the handlers check the bodies.
package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// Text is the type of a member that is a secret: [Hidden] for a server, which reads the body,
// and string for a client, which writes it.
type Text interface{ string | Hidden }

// Hidden is a JSON string that nothing prints. It can be read and not written.
type Hidden struct{ secret.String }

// Hide hides s.
func Hide(s string) Hidden { return Hidden{secret.New(s)} }

// UnmarshalJSON implements [json.Unmarshaler]. Its errors do not contain the text.
func (h *Hidden) UnmarshalJSON(data []byte) error {
	var s string
	if len(data) > 1 && data[0] == '"' && bytes.IndexByte(data, '\\') < 0 {
		s = strings.ToValidUTF8(string(data[1:len(data)-1]), "\ufffd") // as encoding/json does
	} else if err := json.Unmarshal(data, &s); err != nil {
		return errors.New("a string is wanted")
	}
	h.String = secret.New(s)
	return nil
}

// Object is a JSON object that may contain secrets, so nothing prints it. It can be read and
// not written.
type Object struct{ secret.String }

// UnmarshalJSON implements [json.Unmarshaler]. Its errors do not contain the text.
func (o *Object) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return errors.New("an object is wanted")
	}
	o.String = secret.New(string(data))
	return nil
}
