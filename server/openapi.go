package server

import (
	_ "embed"
	"net/http"
)

// openAPI describes every route for programs. A test holds it against the routes, and
// against what they really answer.
//
//go:embed openapi.json
var openAPI []byte

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
	return nil
}
