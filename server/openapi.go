package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/http"
)

// openAPI describes every route for programs. A test holds it against the routes, and
// against what they really answer.
//
//go:embed openapi.json
var openAPI []byte

// describe returns openAPI with the URL of the server. A program that reads the document would
// take the root of the host for it.
func describe(url string) ([]byte, error) {
	servers, err := json.Marshal([]map[string]string{{"url": url}})
	if err != nil {
		return nil, err
	}
	return bytes.Replace(openAPI, []byte("{"), append(append([]byte(`{"servers":`), servers...), ','), 1), nil
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	public(w)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.document)
	return nil
}
